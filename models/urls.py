"""Showing URLs without the passwords in them."""

import re

from pydantic import Secret

_MASK = "***"
# Up to the last @ of the word: a password may hold any sign, escaped or not. A port and a path are none.
# What stands before :// is read from its first sign alone: from each sign, a long word would take its square.
_LOGIN = re.compile(
    r"(?P<before>(?<![A-Za-z0-9+.-])[A-Za-z0-9+.-]+://[^\s/?#:@'\"]*:)(?!\d{1,5}[/?#])[^\s'\"]*@"
)
# Where the beginning was forgotten, as in me:password@host.
_BARE_LOGIN = re.compile(r"(?P<before>(?<![^\s'\"(=])[^\s/:@'\"\[\]]+:)(?!//|\d{1,5}[/?#])[^\s'\"/]+@")
_QUERY = re.compile(
    r"(?P<before>[?&;][^\s=&;?'\"]*(?:passw|secret|token|credential|signature|sig|key)[^\s=&;?'\"]*=)[^\s&;#'\"]+",
    re.IGNORECASE,
)


def without_passwords(text: str) -> str:
    """Return a URL, or a text with URLs in it, with `***` in place of every password and token of theirs."""
    shown = _BARE_LOGIN.sub(rf"\g<before>{_MASK}@", _LOGIN.sub(rf"\g<before>{_MASK}@", text))
    return _QUERY.sub(rf"\g<before>{_MASK}", shown)


class SecretUrl(Secret[str]):
    """A URL or a folder. Shown without the password that it may carry."""

    def _display(self) -> str:
        return without_passwords(self.get_secret_value())
