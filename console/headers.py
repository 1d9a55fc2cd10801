"""What every answer says to the browser, and which requests are not let in at all."""

from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
IMAGE_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
"""Of bytes that came from outside: whatever they are, nothing in them runs."""

_ALWAYS = {
    "content-security-policy": PAGE_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
_SAFE = {"GET", "HEAD", "OPTIONS"}
_OWN = {"same-origin", "none"}


class Guard:
    """Sets the headers above where a page sets no others, and refuses requests of other sites and under other names.

    A page of another site may have its own name lead to this machine: so the name that was asked for has to be one of
    `hosts`. `*` is any.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Headers) -> PlainTextResponse | None:
        host = _host(headers.get("host", ""))
        if "*" not in self._hosts and host not in self._hosts:
            return PlainTextResponse(
                f"This console is not called {host[:200]!r}. Use one of its own names, or add this one to the setting "
                "console_hosts.\n",
                400,
            )
        if method not in _SAFE and headers.get("sec-fetch-site", "none") not in _OWN:
            return PlainTextResponse("A page of another site asked for this. Nothing was changed.\n", 403)
        return None


def _host(value: str) -> str:
    """Return the name of `name:port`, `[::1]:port`, in lower case."""
    if value.startswith("["):
        return value.partition("]")[0].removeprefix("[").lower()
    return value.partition(":")[0].lower()
