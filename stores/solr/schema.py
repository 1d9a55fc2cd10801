"""Which field of the index a column goes to, and whether an index that exists has those fields.

The named fields stand in `configset/conf/schema.xml` and nowhere else; this module reads them from there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import SchemaMismatch

CONFIGSET = Path(__file__).parent / "configset"
UNIQUE_KEY = "id"


@dataclass(frozen=True, slots=True)
class IndexField:
    """A column and the Solr field that holds it. `made_from`: the columns that one which no batch has is made from."""

    column: Column
    name: str
    made_from: tuple[str, ...] = ()


CORRECT = Column("correct", Kind.BOOL, "Whether the prediction is the known label; null where none is known.")
LOCATION = Column("location", Kind.STRING, "Latitude and longitude as one point; null where one is missing.")
HASH_BANDS = Column(
    "hash_bands", Kind.STRINGS, "The perceptual hash in four bands of 16 bits, by their order."
)
VECTORS: Mapping[Column, int] = {
    Column(
        f"embedding_{size}", Kind.BINARY, f"The embedding as a vector of {size} dimensions, of length 1."
    ): size
    for size in (16, 32, 64, 128, 256, 512, 1024)
}
"""Fields of vectors, and their dimensions, which rise. An embedding goes to the first that it fits in."""

# Fields that no column holds, and the columns that each is made from.
DERIVED: Mapping[Column, tuple[str, ...]] = {
    CORRECT: ("prediction", "knownlabel"),
    LOCATION: ("latitude", "longitude"),
    HASH_BANDS: ("perceptual_hash",),
    **dict.fromkeys(VECTORS, ("embedding",)),
}
_KEPT_BY_KUDU = frozenset({Kind.BINARY, Kind.JSON})

_RENAMED = {"knownlabel": "known_label"}
_SUFFIXES = {
    Kind.STRING: "_s",
    Kind.INT32: "_i",
    Kind.INT64: "_l",
    Kind.FLOAT: "_f",
    Kind.DOUBLE: "_d",
    Kind.BOOL: "_b",
    Kind.TIMESTAMP: "_dt",
    Kind.STRINGS: "_ss",
}
# The first class is what the config set uses; a point on the map arrives as the string "latitude,longitude".
_CLASSES = {
    Kind.STRING: ("solr.StrField", "solr.LatLonPointSpatialField"),
    Kind.INT32: ("solr.IntPointField",),
    Kind.INT64: ("solr.LongPointField",),
    Kind.FLOAT: ("solr.FloatPointField",),
    Kind.DOUBLE: ("solr.DoublePointField",),
    Kind.BOOL: ("solr.BoolField",),
    Kind.TIMESTAMP: ("solr.DatePointField",),
    Kind.STRINGS: ("solr.StrField",),
    Kind.BINARY: ("solr.DenseVectorField",),
}


@cache
def named_fields() -> Mapping[str, str]:
    """Return the fields of the config set by name, each with the class of its type."""
    root = ElementTree.parse(CONFIGSET / "conf" / "schema.xml").getroot()  # noqa: S314 - a file of this package
    classes = {kind.attrib["name"]: kind.attrib["class"] for kind in root.iter("fieldType")}
    return {entry.attrib["name"]: classes[entry.attrib["type"]] for entry in root.iter("field")}


def index_name(name: str) -> str:
    """Return a named field's own name where a column of that name is meant; any other name as it is."""
    return _RENAMED.get(name, name)


def field_name(column: Column) -> str:
    """Return the Solr field of a column: a named one, else the column's name with its kind's suffix."""
    name = index_name(column.name)
    return name if name in named_fields() else name + _SUFFIXES[column.kind]


def column_name(field_name: str) -> str:
    """Return the column that a Solr field holds: the way back from `field_name`."""
    for column, renamed in _RENAMED.items():
        if field_name == renamed:
            return column
    if field_name not in named_fields():
        for suffix in _SUFFIXES.values():
            if field_name.endswith(suffix):
                return field_name.removesuffix(suffix)
    return field_name


def is_timestamp(field_name: str) -> bool:
    """Tell whether a Solr field holds a time."""
    named = named_fields().get(field_name)
    if named is None:
        return field_name.endswith(_SUFFIXES[Kind.TIMESTAMP])
    return named in _CLASSES[Kind.TIMESTAMP]


def index_fields(columns: Sequence[Column]) -> tuple[IndexField, ...]:
    """Return the field of every column that is indexed. BINARY and JSON columns are not: Kudu keeps them.

    But for the embedding, which is indexed as `VECTORS` has it.

    Raises:
        SchemaMismatch: two columns go to one field.
    """
    taken: dict[str, Column] = {}
    names = {column.name for column in columns}
    derived = [column for column, sources in DERIVED.items() if names.issuperset(sources)]
    for column in (*columns, *derived):
        if column.kind in _KEPT_BY_KUDU and column not in VECTORS:
            continue
        name = field_name(column)
        if name in taken:
            raise SchemaMismatch(
                f"the columns {taken[name].name!r} and {column.name!r} both go to the Solr field {name!r}; "
                "rename one of them in its interceptor"
            )
        taken[name] = column
    return tuple(IndexField(column, name, DERIVED.get(column, ())) for name, column in taken.items())


def check_schema(schema: Mapping[str, Any], fields: Sequence[IndexField], index: str) -> None:
    """Compare an index's schema, as Solr's Schema API describes it, with the fields to be written.

    Raises:
        SchemaMismatch: names every field that differs, what was found and what is expected.
    """
    lacking = missing(schema, fields)
    check_what_stays(schema, fields, index)
    if lacking:
        raise SchemaMismatch(
            f"the Solr index {index} lacks what this worker writes: {'; '.join(map(_absence, lacking))}. "
            "Run `flumen tables migrate`: it adds what is missing, and changes nothing else"
        )


def check_what_stays(schema: Mapping[str, Any], fields: Sequence[IndexField], index: str) -> None:
    """Compare as `check_schema` does, but for fields that can be added.

    Raises:
        SchemaMismatch: names all that differs, what is missing as well.
    """
    differences = list(_differences(schema, fields))
    if differences:
        differences += map(_absence, missing(schema, fields))
        raise SchemaMismatch(
            f"the Solr index {index} has another schema: {'; '.join(differences)}. It was left as it is. "
            "Choose a core of another name (FLUMEN_SOLR_CORE), or delete this one and rebuild it from Kudu "
            "as docs/solr.md says"
        )


def missing(schema: Mapping[str, Any], fields: Sequence[IndexField]) -> list[IndexField]:
    """Return the fields that an index has neither by name nor by a dynamic one."""
    return [wanted for wanted in fields if find_field(schema, wanted.name) is None]


def solr_class(column: Column) -> str:
    """Return the class of the field that a column goes to, as the config set has it."""
    return named_fields().get(field_name(column)) or _CLASSES[column.kind][0]


def _absence(wanted: IndexField) -> str:
    return f"no field {wanted.name!r}, expected {solr_class(wanted.column)}"


def _differences(schema: Mapping[str, Any], fields: Sequence[IndexField]) -> Iterator[str]:
    """Yield what adding fields does not mend."""
    if schema.get("uniqueKey") != UNIQUE_KEY:
        yield f"the unique key is {schema.get('uniqueKey')!r}, expected {UNIQUE_KEY!r}"
    types = {entry["name"]: entry for entry in schema["fieldTypes"]}
    for wanted in fields:
        expected = _CLASSES[wanted.column.kind]
        entry = find_field(schema, wanted.name)
        if entry is None:
            continue
        kind = types[entry["type"]]
        if kind["class"] not in expected:
            yield f"field {wanted.name!r} is {kind['class']}, expected {expected[0]}"
        many = str(entry.get("multiValued", kind.get("multiValued", False))).lower() == "true"
        if many != (wanted.column.kind is Kind.STRINGS):
            amounts = ("many values", "one") if many else ("one value", "many")
            yield f"field {wanted.name!r} holds {amounts[0]}, expected {amounts[1]}"
    written = {wanted.name for wanted in fields}
    for entry in schema["fields"]:
        if entry.get("required") and "default" not in entry and entry["name"] not in written:
            yield f"field {entry['name']!r} is required there, and flumen writes none of that name"


def find_field(schema: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """Resolve a field as Solr does: by its own name, else by the longest dynamic pattern."""
    for entry in schema["fields"]:
        if entry["name"] == name:
            return dict(entry)
    patterns = sorted(schema.get("dynamicFields", ()), key=lambda entry: -len(entry["name"]))
    for entry in patterns:
        pattern: str = entry["name"]
        start, end = pattern.split("*", 1)
        if name.startswith(start) and name.endswith(end):
            return dict(entry)
    return None
