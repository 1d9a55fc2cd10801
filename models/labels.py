"""The labels of a model, as people write them down: a text file, one a line."""

import codecs
import re
from collections.abc import Sequence

from flumen.models.errors import ManifestInvalid

_LINE_END = re.compile("\r\n|\r|\n")
_SAVE = "Save it as UTF-8"


def labels_of(content: bytes, source: str) -> list[str]:
    """Return a file's labels in their order, without the blanks around them; empty lines are none.

    Args:
        content: UTF-8, with or without a byte order mark, with the line ends of any system.
        source: what messages call the file.

    Raises:
        ManifestInvalid: it is no such text.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content:
        raise ManifestInvalid(f"the labels in {source} are UTF-16 or no text at all. {_SAVE}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ManifestInvalid(
            f"the labels in {source} are not UTF-8: line {line} has the byte {content[error.start]:#04x}. {_SAVE}"
        ) from error
    return [line.strip() for line in _LINE_END.split(text) if line.strip()]


def repeated_labels(labels: Sequence[str]) -> dict[str, list[int]]:
    """Return the positions of each label that several classes have, as ImageNet's two cranes and two maillots."""
    positions: dict[str, list[int]] = {}
    for position, label in enumerate(labels):
        positions.setdefault(label, []).append(position)
    return {label: where for label, where in positions.items() if len(where) > 1}
