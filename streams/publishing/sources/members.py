"""What the members of any archive have in common: names that are only names."""

from flumen.streams.publishing.sources.files import Content, FoundFile, is_hidden, printable


def parts(name: str) -> list[str]:
    """Return the parts of a member's name, without those that lead nowhere."""
    return [part for part in name.split("/") if part not in ("", ".")]


def is_hidden_within(name: str) -> bool:
    """Say whether a member lies hidden in its archive, itself or by a folder; so do those of macOS's `__MACOSX`."""
    found = parts(name)
    return any(is_hidden(part) and part != ".." for part in found) or found[:1] == ["__MACOSX"]


def content_of(file: FoundFile, name: str, content: bytes) -> Content:
    """Return a member's bytes, called by their way in the archive."""
    way = parts(printable(name))
    return Content(f"{file.id}/{'/'.join(way)}", way[-1] if way else "", content)
