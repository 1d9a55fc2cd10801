"""Which field a column goes to, and what counts as another schema."""

from typing import Any
from xml.etree import ElementTree

import pytest

from flumen.interceptor import load_chain, merge_columns
from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import SchemaMismatch, StoreError
from flumen.stores.solr import SolrOptions
from flumen.stores.solr.additions import added, lines_to_add
from flumen.stores.solr.schema import (
    CONFIGSET,
    check_schema,
    check_what_stays,
    column_name,
    field_name,
    index_fields,
    is_timestamp,
    named_fields,
)

COLUMNS = (
    Column("id", Kind.STRING, "", nullable=False),
    Column("knownlabel", Kind.INT32, ""),
    Column("ingested_at", Kind.TIMESTAMP, ""),
    Column("image_as_pgm", Kind.BINARY, ""),
    Column("prediction", Kind.INT32, ""),
    Column("shutter", Kind.STRING, ""),
    Column("palette", Kind.JSON, ""),
    Column("tags", Kind.STRINGS, ""),
)


def described_schema(content: bytes = b"") -> dict[str, Any]:
    """A schema file, that of the config set unless given, as Solr's Schema API describes it."""
    root = ElementTree.fromstring(content or (CONFIGSET / "conf" / "schema.xml").read_bytes())

    def entries(tag: str) -> list[dict[str, Any]]:
        return [dict(entry.attrib) for entry in root.iter(tag)]

    return {
        "uniqueKey": "id",
        "fields": entries("field"),
        "dynamicFields": entries("dynamicField"),
        "fieldTypes": entries("fieldType"),
        "copyFields": entries("copyField"),
    }


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("width", Kind.INT32, "width"),
        ("knownlabel", Kind.INT32, "known_label"),
        ("location", Kind.STRING, "location"),
        ("shutter", Kind.STRING, "shutter_s"),
        ("shots", Kind.INT32, "shots_i"),
        ("bytes_read", Kind.INT64, "bytes_read_l"),
        ("blur", Kind.FLOAT, "blur_f"),
        ("iso", Kind.INT32, "iso"),
        ("keywords", Kind.STRINGS, "keywords"),
        ("tags", Kind.STRINGS, "tags_ss"),
        ("depth", Kind.DOUBLE, "depth_d"),
        ("tripod", Kind.BOOL, "tripod_b"),
        ("sold_at", Kind.TIMESTAMP, "sold_at_dt"),
    ],
)
def test_a_column_has_a_named_field_or_one_by_its_kind(name: str, kind: Kind, expected: str) -> None:
    column = Column(name, kind, "")
    assert field_name(column) == expected
    assert column_name(expected) == name
    assert is_timestamp(expected) == (kind is Kind.TIMESTAMP)


def test_binary_columns_are_not_indexed_and_correct_is_derived() -> None:
    names = [field.name for field in index_fields(COLUMNS)]
    assert names == ["id", "known_label", "ingested_at", "prediction", "shutter_s", "tags_ss", "correct"]


def test_correct_needs_both_of_its_columns() -> None:
    assert "correct" not in [field.name for field in index_fields(COLUMNS[:2])]


def test_a_point_is_made_of_latitude_and_longitude() -> None:
    latitude, longitude = Column("latitude", Kind.DOUBLE, ""), Column("longitude", Kind.DOUBLE, "")
    assert [field.name for field in index_fields([latitude, longitude])] == [
        "latitude",
        "longitude",
        "location",
    ]
    assert [field.name for field in index_fields([latitude])] == ["latitude"]


def test_every_column_of_the_default_chain_has_a_field_of_its_own() -> None:
    for column in merge_columns(step.columns for step in load_chain()):
        if column.kind not in (Kind.BINARY, Kind.JSON):
            assert field_name(column) in named_fields(), column.name


def test_two_columns_of_one_field_are_refused() -> None:
    with pytest.raises(SchemaMismatch, match=r"'knownlabel'.*'known_label'.*'known_label'"):
        index_fields([*COLUMNS, Column("known_label", Kind.INT32, "")])


def test_every_named_field_is_facetable() -> None:
    types = {entry["name"]: entry for entry in described_schema()["fieldTypes"]}
    for field in described_schema()["fields"]:
        # Words, squares of a map, bands and vectors are made from others, to be looked for alone.
        if not field["type"].startswith(("file_name", "text", "map", "bands", "vector_")):
            assert types[field["type"]].get("docValues") == "true", field["name"]
    assert {"id", "known_label", "correct", "disagreement", "location"} <= named_fields().keys()


def test_the_config_set_passes_its_own_check() -> None:
    check_schema(described_schema(), index_fields(COLUMNS), "http://host/solr/images")


def test_every_difference_is_named() -> None:
    schema = described_schema()
    schema["uniqueKey"] = "key"
    schema["dynamicFields"] = [{"name": "*_ss", "type": "string"}]
    for entry in schema["fields"]:
        if entry["name"] == "known_label":
            entry["type"] = "string"
        if entry["name"] == "prediction":
            entry["multiValued"] = True
    schema["fields"].append({"name": "tenant", "type": "string", "required": True})
    with pytest.raises(SchemaMismatch) as caught:
        check_schema(schema, index_fields(COLUMNS), "http://host/solr/images")
    message = str(caught.value)
    for part in (
        "http://host/solr/images",
        "unique key is 'key'",
        "'known_label' is solr.StrField, expected solr.IntPointField",
        "'prediction' holds many values, expected one",
        "'tags_ss' holds one value, expected many",
        "no field 'shutter_s'",
        "'tenant' is required there",
        "FLUMEN_SOLR_CORE",
    ):
        assert part in message


def test_fields_that_are_missing_alone_can_be_added_and_the_command_is_named() -> None:
    schema = described_schema()
    schema["dynamicFields"] = [entry for entry in schema["dynamicFields"] if entry["name"] != "*_s"]
    schema["fields"] = [entry for entry in schema["fields"] if entry["name"] != "ingested_at"]
    with pytest.raises(SchemaMismatch) as caught:
        check_schema(schema, index_fields(COLUMNS), "http://host/solr/images")
    assert "no field 'ingested_at', expected solr.DatePointField" in str(caught.value)
    assert "no field 'shutter_s', expected solr.StrField" in str(caught.value)
    assert "`flumen tables migrate`" in str(caught.value)
    check_what_stays(schema, index_fields(COLUMNS), "http://host/solr/images")


def test_the_lines_that_an_index_lacks_are_added_and_no_other_is_changed() -> None:
    ours = (CONFIGSET / "conf" / "schema.xml").read_bytes()
    old = b"\n".join(
        line
        for line in ours.split(b"\n")
        if not any(word in line for word in (b'"lens"', b'"words"', b'"*_s"'))
    )
    columns = (*COLUMNS, Column("lens", Kind.STRING, ""))
    lines = lines_to_add(described_schema(old), index_fields(columns))
    assert [(line.tag, line.name, line.kind) for line in lines] == [
        ("dynamicField", "*_s", "solr.StrField"),
        ("field", "lens", "solr.StrField"),
        ("field", "words", "solr.TextField"),
        *(
            ("copyField", name, "words")
            for name in ("lens", "title", "keywords", "creator", "camera_make", "camera_model")
        ),
    ]
    new = added(old, lines)
    assert new.startswith(old[: old.rindex(b"</schema>")])
    check_schema(described_schema(new), index_fields(columns), "http://host/solr/images")
    assert lines_to_add(described_schema(new), index_fields(columns)) == []


def test_a_type_that_is_missing_is_added_and_another_one_of_its_name_is_refused() -> None:
    schema = described_schema()
    schema["fields"] = [entry for entry in schema["fields"] if entry["name"] != "ingested_at"]
    schema["fieldTypes"] = [entry for entry in schema["fieldTypes"] if entry["name"] != "pdate"]
    lines = lines_to_add(schema, index_fields(COLUMNS))
    assert [(line.tag, line.name) for line in lines] == [("field", "ingested_at"), ("fieldType", "pdate")]
    schema["fieldTypes"].append({"name": "pdate", "class": "solr.StrField"})
    with pytest.raises(
        SchemaMismatch, match=r"type 'pdate' that is solr.StrField, and flumen's is solr.Date"
    ):
        lines_to_add(schema, index_fields(COLUMNS))


@pytest.mark.parametrize("url", ["", "host:8983/solr", "ftp://host/solr", "http:///solr"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="must be like"):
        SolrOptions(url=url)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(StoreError) as caught:
        SolrOptions(url="http://user:secret@host:8983/solr")
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(SolrOptions(url="http://host/solr", username="user", password="secret"))
