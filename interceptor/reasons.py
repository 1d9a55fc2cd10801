"""How an interceptor words a rejection: "image 'ID': <what is wrong>; <what to do>"."""

from flumen.interceptor.batch import ImageMessage
from flumen.interceptor.errors import Unclassifiable

_LONGEST = 120


def about(image: ImageMessage, error: Unclassifiable) -> Unclassifiable:
    """Return the same error, with the image named in front of its message, which is made valid Unicode."""
    message = f"image {shortened(image.id)!r}: {error}"
    named = type(error)(message.encode(errors="backslashreplace").decode())
    named.cause = error.cause
    return named


def printable(data: bytes) -> str:
    r"""Return bytes from outside in one line of ASCII: what is no letter, digit or sign as `\x89`."""
    return data.decode("latin-1").encode("unicode_escape").decode()


def shortened(text: str, longest: int = _LONGEST) -> str:
    """Return a text from outside no longer than a reader, a log line or a message header can bear."""
    return text if len(text) <= longest else f"{text[:longest]}…"
