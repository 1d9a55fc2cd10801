"""Title, keywords and creators from an XMP packet (ISO 16684-1, Dublin Core: dc:title, dc:subject, dc:creator).

Read by expat event by event: no tree is built, no entity is ever declared, and nothing outside is fetched.
"""

import codecs
from xml.parsers import expat

from flumen.interceptor.metadata.errors import Unreadable
from flumen.interceptor.metadata.findings import Findings
from flumen.interceptor.metadata.words import MAX_CHARACTERS, MAX_WORDS, clean, words

MAX_BYTES = 1024 * 1024
"""The largest packet that is read. What is longer holds a history of edits, or an attack."""

_MAX_NAMESPACE = 256
"""Characters of a namespace's name: expat repeats it in every name within that namespace."""

_PADDING = "\0\ufffd \t\r\n"
"""What may follow a packet: an odd byte of UTF-16 is read as U+FFFD."""

_DC = "http://purl.org/dc/elements/1.1/ "
_ITEM = "http://www.w3.org/1999/02/22-rdf-syntax-ns# li"
_LANGUAGE = "http://www.w3.org/XML/1998/namespace lang"
_PROPERTIES = {f"{_DC}title": "title", f"{_DC}subject": "keywords", f"{_DC}creator": "creator"}


def read_xmp(packet: bytes, findings: Findings) -> None:
    """Keep title, keywords and creators of a packet; of one that breaks off, what stands before."""
    if len(packet) > MAX_BYTES:
        findings.miss("XMP", f"it has more than {MAX_BYTES:,} bytes")
        return
    texts = _Texts()
    findings.attempt("XMP", lambda: texts.read(_in_utf8(packet)))
    titles = texts.of["title"]
    findings.keep("title", clean(texts.default_title or (titles[0] if titles else "")))
    findings.keep("keywords", words(texts.of["keywords"]))
    findings.keep("creator", words(texts.of["creator"]))


def _in_utf8(packet: bytes) -> bytes:
    if packet.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return packet.decode("utf-16", "replace").rstrip(_PADDING).encode(errors="replace")
    return packet.removeprefix(codecs.BOM_UTF8).strip(b"\0 \t\r\n")


class _Texts:
    """Collects the texts of the wanted properties while expat walks through the packet."""

    def __init__(self) -> None:
        self.of: dict[str, list[str]] = {name: [] for name in _PROPERTIES.values()}
        self.default_title = ""
        self._inside: str | None = None
        self._is_default = False
        self._text = ""

    def read(self, packet: bytes) -> None:
        """Walk through a packet.

        Raises:
            Unreadable: it is not well-formed, or declares a document type, which entities need.
        """
        parser = expat.ParserCreate("utf-8", " ")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._add
        parser.StartDoctypeDeclHandler = _refuse
        parser.StartNamespaceDeclHandler = _check_namespace
        try:
            parser.Parse(packet, True)
        except expat.ExpatError as error:
            raise Unreadable(f"it is no XML: {expat.ErrorString(error.code)}") from error

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name in _PROPERTIES:
            self._inside = _PROPERTIES[name]
        if name in _PROPERTIES or name == _ITEM:
            self._text = ""
            self._is_default = attributes.get(_LANGUAGE) == "x-default"

    def _end(self, name: str) -> None:
        if self._inside and (name in _PROPERTIES or name == _ITEM):
            text = self._text.strip()
            if text and len(self.of[self._inside]) < MAX_WORDS:
                self.of[self._inside].append(text)
            if text and self._inside == "title" and self._is_default:
                self.default_title = text
            self._text = ""
        if name in _PROPERTIES:
            self._inside = None

    def _add(self, text: str) -> None:
        if self._inside and len(self._text) < 2 * MAX_CHARACTERS:
            self._text += text[: 2 * MAX_CHARACTERS]


def _check_namespace(_: str | None, name: str | None) -> None:
    if name is not None and len(name) > _MAX_NAMESPACE:
        raise Unreadable("the name of a namespace is too long")


def _refuse(*_: object) -> None:
    raise Unreadable("it declares a document type")
