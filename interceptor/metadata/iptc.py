"""Title, keywords and creators from IPTC data (IPTC-NAA Information Interchange Model 4.2, sections 1.6, 5 and 6)."""

import struct
from collections.abc import Iterator
from itertools import count

from flumen.interceptor.metadata.errors import Unreadable
from flumen.interceptor.metadata.findings import Findings
from flumen.interceptor.metadata.words import MAX_WORDS, clean, decoded, words

MAX_DATASETS = 4_096
"""Datasets that are looked at; programs write a few dozen."""

_MARKER = 0x1C
_EXTENDED = 0x8000
_MAX_LENGTH_BYTES = 4
_OBJECT_NAME, _KEYWORDS, _BY_LINE = (2, 5), (2, 25), (2, 80)


def read_iptc(data: bytes, findings: Findings) -> None:
    """Keep title, keywords and creators; of data that break off, what stands before."""
    texts: dict[tuple[int, int], list[str]] = {_OBJECT_NAME: [], _KEYWORDS: [], _BY_LINE: []}
    try:
        for dataset, value in _datasets(data):
            if dataset in texts and len(texts[dataset]) < MAX_WORDS:
                texts[dataset].append(decoded(value))
    except Unreadable as error:
        findings.miss("IPTC", str(error))
    findings.keep("title", clean(next(iter(texts[_OBJECT_NAME]), "")))
    findings.keep("keywords", words(texts[_KEYWORDS]))
    findings.keep("creator", words(texts[_BY_LINE]))


def _datasets(data: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield record and dataset number with the value of each; zeros behind the last one are padding."""
    at = 0
    for met in count():
        if at == len(data) or (data[at] != _MARKER and not data[at:].strip(b"\0")):
            return
        if met == MAX_DATASETS:
            raise Unreadable(f"it has more than {MAX_DATASETS:,} datasets")
        try:
            marker, record, number, size = struct.unpack_from(">BBBH", data, at)
        except struct.error:
            raise Unreadable("it is cut short") from None
        if marker != _MARKER:
            raise Unreadable("it holds what is no dataset")
        at += 5
        if size & _EXTENDED:
            length = size & ~_EXTENDED
            if length > _MAX_LENGTH_BYTES:
                raise Unreadable("it holds what is no dataset")
            size = int.from_bytes(data[at : at + length])
            at += length
        if at + size > len(data):
            raise Unreadable("it is cut short")
        yield (record, number), data[at : at + size]
        at += size
