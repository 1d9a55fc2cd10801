"""Texts from outside: which characters they are made of, and how much of them is kept."""

import codecs
import re

MAX_CHARACTERS = 1_000
"""The longest text that is kept; a longer one is cut. It fits any store's cell."""

MAX_TEXT_BYTES = 64 * 1024
"""Bytes of a text, or of a row of names, that are looked at."""

MAX_WORDS = 50
"""Keywords or creators of one image."""

MAX_WORD_CHARACTERS = 200

# What no store, no JSON and no terminal wants: control characters, and halves of UTF-16 pairs.
_UNWANTED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+")
_SPACES = re.compile(r"\s+")


def decoded(data: bytes) -> str:
    """Return what the first of these bytes say: UTF-8 where they are that, else Latin-1, which any bytes are.

    EXIF allows ASCII alone, and cameras and programs write either of the two.
    """
    first = data[:MAX_TEXT_BYTES]
    try:
        # A character that is cut in two by this limit is none.
        return codecs.utf_8_decode(first, "strict", len(first) == len(data))[0]
    except UnicodeDecodeError:
        return first.decode("latin-1")


def clean(text: str, longest: int = MAX_CHARACTERS) -> str:
    """Return a text in one line, without control characters, cut to `longest` characters."""
    return _SPACES.sub(" ", _UNWANTED.sub(" ", text[: 2 * longest])).strip()[:longest].rstrip()


def words(texts: list[str]) -> list[str]:
    """Return keywords or names cleaned, each once, at most `MAX_WORDS`."""
    cleaned = (clean(text, MAX_WORD_CHARACTERS) for text in texts)
    return list(dict.fromkeys(text for text in cleaned if text))[:MAX_WORDS]
