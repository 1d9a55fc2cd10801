"""What an index lacks of the config set's schema, and the schema file with it: lines are added, and none is changed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from xml.etree import ElementTree

from flumen.stores.errors import SchemaMismatch
from flumen.stores.solr.schema import CONFIGSET, IndexField, find_field, missing

SCHEMA_FILE = "schema.xml"
_END = b"</schema>"


@dataclass(frozen=True, slots=True)
class SchemaLine:
    """One element of the schema file: a field, a dynamic field, a copy, or a type."""

    tag: str
    name: str
    kind: str
    """The class of a field, or of a type; of a copy, the field it goes to."""
    xml: str


def lines_to_add(schema: Mapping[str, Any], fields: Sequence[IndexField]) -> list[SchemaLine]:
    """Return what an index needs for these fields: the fields, what is copied from them, and the types of all those.

    `schema` is that of the index, as Solr's Schema API describes it.

    Raises:
        SchemaMismatch: a type of that name is there, and is another one.
    """
    ours = _schema_file()
    wanted = [_definition(ours, field.name) for field in missing(schema, fields)]
    names = {entry.attrib["name"] for entry in wanted}
    copies = [entry for entry in _copies(ours, schema) if entry.attrib["source"] in names]
    targets = [
        name for name in (entry.attrib["dest"] for entry in copies) if find_field(schema, name) is None
    ]
    wanted += [_definition(ours, name) for name in targets]
    # A target that is new gets all that is copied to it, from fields that were there too.
    copies += [
        entry
        for entry in _copies(ours, schema)
        if entry.attrib["dest"] in targets and find_field(schema, entry.attrib["source"]) is not None
    ]
    types = {entry.attrib["name"]: entry for entry in ours.iter("fieldType")}
    classes = {name: entry.attrib["class"] for name, entry in types.items()}
    needed = dict.fromkeys(entry.attrib["type"] for entry in wanted)
    return [
        *(_line(entry, classes[entry.attrib["type"]]) for entry in dict.fromkeys(wanted)),
        *(_line(entry, entry.attrib["dest"]) for entry in copies),
        *(_line(types[name], classes[name]) for name in _missing_types(schema, needed, classes)),
    ]


def _copies(ours: ElementTree.Element, schema: Mapping[str, Any]) -> Iterator[ElementTree.Element]:
    """Yield the copies that the index does not make."""
    made = {(entry["source"], entry["dest"]) for entry in schema.get("copyFields", ())}
    for entry in ours.iter("copyField"):
        if (entry.attrib["source"], entry.attrib["dest"]) not in made:
            yield entry


def _missing_types(
    schema: Mapping[str, Any], needed: Iterable[str], classes: Mapping[str, str]
) -> Iterator[str]:
    there = {entry["name"]: entry["class"] for entry in schema["fieldTypes"]}
    for name in needed:
        if name not in there:
            yield name
        elif there[name] != classes[name]:
            raise SchemaMismatch(
                f"the Solr index has a type {name!r} that is {there[name]}, and flumen's is {classes[name]}: no field "
                "of it can be added. Choose a core of another name (FLUMEN_SOLR_CORE), and rebuild it from Kudu as "
                "docs/solr.md says"
            )


def added(schema_file: bytes, lines: Iterable[SchemaLine]) -> bytes:
    """Return a schema file with more lines at its end.

    Raises:
        SchemaMismatch: it is none.
    """
    start, end, rest = schema_file.rpartition(_END)
    if not end:
        raise SchemaMismatch(f"{SCHEMA_FILE} of the Solr index has no {_END.decode()}; it was left as it is")
    more = "".join(f"  {line.xml}\n" for line in lines)
    return start + more.encode() + end + rest


@cache
def _schema_file() -> ElementTree.Element:
    return ElementTree.parse(CONFIGSET / "conf" / SCHEMA_FILE).getroot()  # noqa: S314 - a file of this package


def _definition(ours: ElementTree.Element, name: str) -> ElementTree.Element:
    """Return the element that makes a field of that name, its own or the dynamic one."""
    entries: Iterator[ElementTree.Element] = (
        entry
        for tag in ("field", "dynamicField")
        for entry in ours.iter(tag)
        if entry.attrib["name"] == name or (tag == "dynamicField" and name.endswith(entry.attrib["name"][1:]))
    )
    return next(entries)


def _line(entry: ElementTree.Element, kind: str) -> SchemaLine:
    name = entry.attrib.get("name") or entry.attrib["source"]
    return SchemaLine(entry.tag, name, kind, ElementTree.tostring(entry, encoding="unicode").strip())
