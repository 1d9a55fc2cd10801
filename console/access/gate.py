"""Who asks: by a token in the header Authorization, or by a session's cookie."""

from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from flumen.console.access.people import Person
from flumen.console.access.sessions import COOKIE, Session, Sessions, same
from flumen.console.access.tokens import TokenFile, fingerprint
from flumen.console.errors import NotAllowed

FORM_FIELD = "form_token"
HEADER = "x-form-token"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, and in which session; None where they came with a token itself."""

    person: Person
    session: Session | None

    @property
    def form_token(self) -> str:
        """What the forms of their pages send back."""
        return self.session.form_token if self.session else ""


@dataclass(frozen=True, slots=True)
class Gate:
    """Knows people by their tokens: those of the file, and the one that was printed at the start, if it was.

    `guest` is whom that one is for, with its fingerprint.
    """

    tokens: TokenFile | None
    guest: tuple[str, Person] | None = None
    sessions: Sessions = field(default_factory=Sessions)

    def person(self, sha256: str) -> Person | None:
        """Return whose token has this fingerprint."""
        if self.guest is not None and same(sha256, self.guest[0]):
            return self.guest[1]
        return self.tokens.person(sha256) if self.tokens is not None else None

    def sign_in(self, token: str) -> str | None:
        """Return the cookie of a new session; None where the token is nobody's."""
        sha256 = fingerprint(token.strip())
        return self.sessions.begin(sha256) if self.person(sha256) else None

    def visitor(self, request: HTTPConnection) -> Visitor | None:
        """Return who asks; None where nobody is known by what they show."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            person = self.person(fingerprint(token.strip()))
            return Visitor(person, None) if person else None
        session = self.sessions.read(request.cookies.get(COOKIE, ""))
        person = self.person(session.sha256) if session else None
        return Visitor(person, session) if person else None


def check_may_change(visitor: Visitor, form_token: str) -> None:
    """Make sure that somebody may change something, and asked for it on a page of ours.

    Raises:
        NotAllowed: they may only look, or the request came from elsewhere.
    """
    if not visitor.person.may_change:
        raise NotAllowed(
            f"{visitor.person.name} may look and change nothing. An operator can give the role: "
            f"flumen console token {visitor.person.name} --role operator"
        )
    if visitor.session is not None and not same(form_token, visitor.session.form_token):
        raise NotAllowed(
            "this form is of an earlier session, or of another page: load the page again, and repeat"
        )
