"""The file of tokens: who has one, what they may, and the SHA-256 of each token; never the token.

A token is 32 random bytes, so that its plain hash cannot be tried out: the slow hashes are for what people think of.
"""

import hashlib
import json
import os
import secrets
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flumen.console.access.people import Person, make_person
from flumen.console.errors import BadPerson, TokensUnusable

SCHEMA = 1
_PREFIX = "flumen_"
_LARGEST_BYTES = 1_000_000


def new_token() -> str:
    """Return a token that nobody has had."""
    return _PREFIX + secrets.token_urlsafe(32)


def fingerprint(token: str) -> str:
    """Return the SHA-256 of a token, in hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """A token's owner, its fingerprint, and when it was made, in seconds since the epoch."""

    person: Person
    sha256: str
    made_at: int


class TokenFile:
    """The people of a file, by the fingerprints of their tokens. A change of the file counts at once.

    Every method raises TokensUnusable where the file cannot be read, or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_of: tuple[int, int, int] | None = None
        self._people: Mapping[str, Person] = {}

    def person(self, sha256: str) -> Person | None:
        """Return whose token has this fingerprint; None where it is nobody's, or no longer."""
        return self._current().get(sha256)

    def entries(self) -> list[Entry]:
        """Return all entries by name; of a file that is not there, none."""
        if not self.path.exists():
            return []
        return sorted(self._parse(), key=lambda entry: entry.person.name)

    def add(self, person: Person) -> str:
        """Give somebody a token in place of any that they have, and return it: it cannot be had again."""
        token = new_token()
        others = [entry for entry in self.entries() if entry.person.name != person.name]
        self._write([*others, Entry(person, fingerprint(token), int(time.time()))])
        return token

    def remove(self, name: str) -> bool:
        """Take somebody's token away; say whether they had one."""
        entries = self.entries()
        left = [entry for entry in entries if entry.person.name != name]
        if len(left) < len(entries):
            self._write(left)
        return len(left) < len(entries)

    def _current(self) -> Mapping[str, Person]:
        try:
            found = self.path.stat()
        except OSError as error:
            raise self._unusable(error) from error
        version = (found.st_mtime_ns, found.st_size, found.st_ino)
        if version != self._read_of:
            self._people = {entry.sha256: entry.person for entry in self._parse()}
            self._read_of = version
        return self._people

    def _parse(self) -> list[Entry]:
        try:
            return _read(self.path)
        except (OSError, ValueError, KeyError, TypeError, BadPerson) as error:
            raise self._unusable(error) from error

    def _write(self, entries: list[Entry]) -> None:
        tokens = [
            {
                "name": entry.person.name,
                "role": entry.person.role.value,
                "sha256": entry.sha256,
                "made_at": entry.made_at,
            }
            for entry in entries
        ]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Made readable by its owner alone, and put in its place whole.
            descriptor, made = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"schema": SCHEMA, "tokens": tokens}, file, indent=1)
                file.write("\n")
            Path(made).replace(self.path)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> TokensUnusable:
        return TokensUnusable(
            f"the file of tokens {self.path} cannot be used: {error}. `flumen console token NAME` makes one; the "
            "setting console_tokens names it"
        )


def _read(path: Path) -> list[Entry]:
    if path.stat().st_size > _LARGEST_BYTES:
        raise ValueError("it is too large")
    found = json.loads(path.read_text(encoding="utf-8"))
    schema = found["schema"]
    if schema > SCHEMA:
        raise ValueError(f"its schema is {schema}, and this flumen reads {SCHEMA}")
    return [_entry(each) for each in found["tokens"]]


def _entry(read: Any) -> Entry:
    sha256 = str(read["sha256"])
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):  # noqa: PLR2004 - hexadecimal digits
        raise ValueError("a sha256 is none")
    return Entry(make_person(str(read["name"]), str(read["role"])), sha256, int(read.get("made_at", 0)))
