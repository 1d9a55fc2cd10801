"""How an interceptor words a rejection: "image 'ID': <what is wrong>; <what to do>"."""

from interceptor.batch import ImageMessage
from interceptor.errors import Unclassifiable

_LONGEST = 120


def about(image: ImageMessage, error: Unclassifiable) -> Unclassifiable:
    """Return the same error, with the image named in front of its message, which is made valid Unicode."""
    message = f"image {shortened(image.id)!r}: {error}"
    return type(error)(message.encode(errors="backslashreplace").decode())


def shortened(text: str, longest: int = _LONGEST) -> str:
    """Return a text from outside no longer than a reader, a log line or a message header can bear."""
    return text if len(text) <= longest else f"{text[:longest]}…"
