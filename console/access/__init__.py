"""Who may see, and who may change: tokens kept hashed in a file, sessions in signed cookies."""

from flumen.console.access.people import Person, Role
from flumen.console.access.sessions import Session, Sessions
from flumen.console.access.tokens import TokenFile, new_token

__all__ = ["Person", "Role", "Session", "Sessions", "TokenFile", "new_token"]
