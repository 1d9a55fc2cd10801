"""What every answer says to the browser, and which requests are not let in at all."""

from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, Response
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
API_ROOT = "/api/"
"""Below it, errors are JSON."""

_STATIC_ROOT = "/static/"
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
                if scope["path"].startswith(_STATIC_ROOT):
                    headers.setdefault("cache-control", "no-cache")
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope, Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host = _host(headers.get("host", ""))
        if "*" not in self._hosts and host not in self._hosts:
            return refused(
                scope,
                400,
                f"This console is not called {host[:200]!r}. Use one of its own names, or add this one to the setting "
                "console_hosts.",
            )
        if scope["method"] not in _SAFE and not is_own(headers):
            return refused(scope, 403, "A page of another site asked for this. Nothing was changed.")
        return None


def is_own(headers: Headers) -> bool:
    """Say whether a request comes from a page of ours, or from no page; browsers that do not say so are believed."""
    return headers.get("sec-fetch-site", "none") in _OWN


def refused(scope: Scope, status: int, text: str) -> Response:
    """Return a refusal without a page: in JSON for programs, else as a line of text."""
    if scope["path"].startswith(API_ROOT):
        return JSONResponse({"error": text}, status)
    return PlainTextResponse(f"{text}\n", status)


def _host(value: str) -> str:
    """Return the name of `name:port`, `[::1]:port`, in lower case."""
    if value.startswith("["):
        return value.partition("]")[0].removeprefix("[").lower()
    return value.partition(":")[0].lower()
