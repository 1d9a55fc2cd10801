"""What Solr keeps of a document in CBOR is what it keeps of the same one in JSON, field by field."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import loopback
import numpy as np
import orjson
import pytest
from plain_documents import COLUMNS, plain_documents

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.stores.errors import SchemaMismatch
from flumen.stores.solr import SolrOptions, SolrReader, SolrSink
from flumen.stores.solr.schema import CONFIGSET, index_fields

FIELDS = index_fields(COLUMNS)
LONG = "ünï " * 2_500
"""10,000 characters."""
CONTROL = "".join(map(chr, range(32))) + '"\\/\u2028\U0001f600'
VALUES: dict[str, list[Any]] = {
    "label": ["x", "", CONTROL, LONG, "null", "7", "x" * 23, "x" * 24, "x" * 255, "x" * 256],
    "sha256": ["0123456789abcdef" * 4],
    "keywords": [["a"], [], ["b", "a", "b"], [CONTROL, LONG], [f"{n:02d}" for n in range(30)]],
    "prediction": [0, 1, -1, 23, 24, -24, -25, 255, 256, 65_536, 2**31 - 1, -(2**31)],
    "knownlabel": [0, 1, -1, 5],
    "shots": [0, -1, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)],
    "confidence": [0.1, -0.0, 1e-45, 3.4e38, -1.5, 1 / 3, 1e300, np.nan, np.inf],
    "latitude": [0.1, 89.999999999, -90.0, 1 / 3],
    "longitude": [179.9, -180.0, 1e-12],
    "flash_fired": [True, False],
    "ingested_at": [0, -1, 999, 1_790_000_000_123_456, -62_135_596_800_000_000, 253_402_300_799_999_999],
    "sold_at": [1_000_000, -62_167_219_200_000_001, 253_402_300_800_000_000, -(2**62), 2**62],
}
"""What each column holds in turn; a null stands between two of them, but in `prediction`, which is never null."""
ROWS = 60
NOT_BY_ITSELF_MS = 3_600_000


@pytest.fixture
def options(flumen_stack: Any, flumen_names: Any) -> SolrOptions:
    return SolrOptions(
        url=flumen_stack.solr_url, core=flumen_names.solr_core, commit_within_ms=NOT_BY_ITSELF_MS
    )


@pytest.fixture
def sink(options: SolrOptions) -> Iterator[SolrSink]:
    sink = SolrSink(options, COLUMNS)
    sink.connect()
    yield sink
    sink.close()


@pytest.fixture
def reader(options: SolrOptions) -> Iterator[SolrReader]:
    reader = SolrReader(options)
    yield reader
    reader.close()


def batch_of(prefix: str) -> Batch:
    columns: dict[str, Any] = {"id": [f"{prefix} {row}" for row in range(ROWS)]}
    for name, values in VALUES.items():
        cells = values if name == "prediction" else [cell for value in values for cell in (value, None)]
        columns[name] = [cells[row % len(cells)] for row in range(ROWS)]
    return Batch([ImageMessage(image_id, b"", 0) for image_id in columns["id"]], columns)


def described(row: Mapping[str, Any] | None) -> dict[str, Any]:
    assert row is not None
    return {name: value for name, value in row.items() if name != "id"}


def test_solr_keeps_the_same_of_cbor_as_of_json(
    options: SolrOptions, sink: SolrSink, reader: SolrReader
) -> None:
    sink.write(batch_of("before").take([0]))  # the first write commits
    in_cbor, in_json = batch_of("cbor"), batch_of("json")
    failures = {failure.row: failure.reason for failure in sink.write(in_cbor)}
    refused = set()
    for row, document in enumerate(plain_documents(in_json, FIELDS)):
        answer = loopback.post(
            f"{options.url}/{options.core}/update",
            params={"commitWithin": NOT_BY_ITSELF_MS},
            data=orjson.dumps([document]),
            headers={"Content-Type": "application/json"},
            timeout=60,
        )
        assert answer.ok or answer.status_code == 400
        if not answer.ok:
            refused.add(row)
            assert answer.json()["error"]["msg"].replace("json", "cbor") == failures[row]
    assert failures.keys() == refused
    stored = [row for row in range(ROWS) if row not in refused]
    assert len(stored) > ROWS / 2
    for _ in ("uncommitted", "committed"):
        for row in stored:
            assert described(reader.get(f"cbor {row}")) == described(reader.get(f"json {row}"))
        reader.commit()
    found = {row["id"]: described(row) for row in reader.search("-id:before*", rows=2 * ROWS)}
    assert len(found) == 2 * len(stored)
    assert [found[f"cbor {row}"] for row in stored] == [found[f"json {row}"] for row in stored]


def test_an_index_that_was_made_with_points_keeps_them(options: SolrOptions, reader: SolrReader) -> None:
    created = {"action": "CREATE", "name": options.core, "configSet": options.config_set}
    loopback.get(f"{options.url}/admin/cores", params=created, timeout=60).raise_for_status()
    other = SolrOptions(url=options.url, core=f"{options.core}-new")
    try:
        for place, points in ((options, True), (other, False)):
            sink = SolrSink(place, COLUMNS)
            sink.connect()
            assert not sink.write(batch_of("a").take([0, 1]))
            sink.close()
            field = loopback.get(f"{place.url}/{place.core}/schema/fields/size_bytes", timeout=60).json()
            assert field["field"].get("indexed", True) is points
    finally:
        unload = {"action": "UNLOAD", "core": other.core, "deleteInstanceDir": "true"}
        loopback.get(f"{options.url}/admin/cores", params=unload, timeout=60)


def test_no_core_is_made_from_an_earlier_config_set(options: SolrOptions) -> None:
    """With the new one in its place, Solr would refuse every document."""
    home = Path(loopback.get(f"{options.url}/admin/info/system", timeout=60).json()["solr_home"])
    if not (home / "configsets").is_dir():
        pytest.skip("this Solr has its config sets elsewhere")
    place = replace(options, config_set=options.core)
    folder = home / "configsets" / place.config_set
    shutil.copytree(CONFIGSET, folder)
    schema = folder / "conf" / "schema.xml"
    content = schema.read_text(encoding="utf-8")
    sink = SolrSink(place, COLUMNS)
    try:
        schema.write_text(content.replace("${flumen.points:true}", "true"), encoding="utf-8")
        for _ in range(2):
            with pytest.raises(SchemaMismatch, match="is of an earlier version of flumen"):
                sink.connect()
        schema.write_text(content, encoding="utf-8")
        sink.connect()
        assert not sink.write(batch_of("a").take([0, 1]))
    finally:
        sink.close()
        shutil.rmtree(folder)
