"""Signing in, by a token, and out."""

from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from flumen.console.access.gate import FORM_FIELD, Gate
from flumen.console.access.sessions import COOKIE, LASTS_S, same
from flumen.console.errors import ConsoleError
from flumen.console.forms import read_form
from flumen.console.pages import page

PATH = "/sign-in"


def address(back: str) -> str:
    """Return where one signs in, to come back to a page then."""
    return f"{PATH}?{urlencode({'back': back})}"


async def sign_in(gate: Gate, request: Request) -> Response:
    """Show the form; or take a token, from it or from the address that the console printed at its start."""
    back = own_page(request.query_params.get("back", ""))
    token = request.query_params.get("token", "")
    if request.method == "POST":
        try:
            form = await read_form(request)
        except ConsoleError as error:
            return _form(back, str(error), 400)
        token, back = form.get("token", ""), own_page(form.get("back", ""))
    if not token:
        return _form(back, "")
    try:
        cookie = gate.sign_in(token)
    except ConsoleError as error:
        return _form(back, str(error), 500)
    if cookie is None:
        return _form(
            back, "Nobody has this token, or it was taken away. `flumen console token NAME` makes one.", 403
        )
    answer = RedirectResponse(back, 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, cookie, LASTS_S, httponly=True, samesite="lax", secure=secure)
    return answer


async def sign_out(gate: Gate, request: Request) -> Response:
    """End the session in this browser."""
    answer = RedirectResponse(PATH, 303)
    visitor = gate.visitor(request)
    form = await read_form(request)
    if visitor is None or visitor.session is None or same(form.get(FORM_FIELD, ""), visitor.form_token):
        gate.sessions.end(request.cookies.get(COOKIE, ""))
        answer.delete_cookie(COOKIE)
    return answer


def own_page(back: str) -> str:
    """Return a path of ours, and nothing that a browser takes for another host."""
    parts = urlsplit(back) if back.startswith("/") and not back.startswith(("//", "/\\")) else None
    if parts is None or parts.netloc or any(ord(sign) < 0x20 for sign in back):  # noqa: PLR2004 - control characters
        return "/images"
    return back


def _form(back: str, wrong: str, status: int = 200) -> Response:
    return page("sign_in.html", None, status=status, back=back, wrong=wrong)
