"""Sessions: a cookie that says whose token somebody came with, signed by a key that this process alone has.

It holds the token's fingerprint, not a name: a token that is taken away ends its sessions at once. Beside each session
stands a second secret, which forms send back: another site can make a browser send the cookie, and never that one.
"""

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

COOKIE = "flumen_session"
LASTS_S = 12 * 3600


@dataclass(frozen=True, slots=True)
class Session:
    """The fingerprint of the token that was shown, and what every form of the session sends back."""

    sha256: str
    form_token: str


class Sessions:
    """Makes sessions and reads them. `clock`: seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._key = secrets.token_bytes(32)
        self._clock = clock
        self._ended: dict[str, int] = {}

    def begin(self, sha256: str) -> str:
        """Return the cookie of a new session of whoever has this token."""
        text = f"{sha256}.{int(self._clock()) + LASTS_S}.{secrets.token_hex(16)}"
        return f"{text}.{self._sign('session', text)}"

    def read(self, cookie: str) -> Session | None:
        """Return the session of a cookie; None where it is over, or was never one of ours."""
        text, _, signature = cookie.rpartition(".")
        if not text or not hmac.compare_digest(signature.encode(), self._sign("session", text).encode()):
            return None
        sha256, until, _ = text.split(".")
        if int(until) < self._clock() or text in self._ended:
            return None
        return Session(sha256, self._sign("form", text))

    def end(self, cookie: str) -> None:
        """Let the session of a cookie be over, wherever the cookie is kept."""
        if self.read(cookie) is None:
            return
        now, text = self._clock(), cookie.rpartition(".")[0]
        self._ended = {each: until for each, until in self._ended.items() if until >= now}
        self._ended[text] = int(text.split(".")[1])

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.digest(self._key, f"{purpose}:{text}".encode("utf-8", "surrogatepass"), "sha256").hex()


def same(given: str, expected: str) -> bool:
    """Compare two secrets in a time that tells nothing of them."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())
