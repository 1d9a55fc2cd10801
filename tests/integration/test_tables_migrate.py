"""Tables and an index that lack columns: what is missing is added, what is there stays, and who writes goes on."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from flumen.interceptor.batch import Batch, ImageMessage
from flumen.interceptor.columns import Column, Kind
from flumen.stores.errors import SchemaMismatch, StoreRefused
from flumen.stores.kudu import KuduMigration, KuduOptions, KuduReader, KuduSink
from flumen.stores.kudu.driver import open_driver
from flumen.stores.kudu.schema import Table, predictions_table
from flumen.stores.migration import Addition
from flumen.stores.solr import SolrMigration, SolrOptions, SolrReader, SolrSink
from flumen.stores.solr.schema import CONFIGSET

OLD = (
    Column("id", Kind.STRING, "", nullable=False),
    Column("label", Kind.STRING, ""),
    Column("model", Kind.STRING, ""),
    Column("model_version", Kind.INT32, ""),
)
NEW = (
    *OLD,
    Column("ink", Kind.FLOAT, ""),
    Column("seen_at", Kind.TIMESTAMP, "", nullable=False),
    Column("lens", Kind.STRING, ""),
)


def batch_of(*ids: str, **columns: Any) -> Batch:
    given = {"id": list(ids), "label": ["7"] * len(ids), "model": ["m"] * len(ids)}
    given |= {"model_version": [1] * len(ids)}
    return Batch([ImageMessage(image_id, b"x", 0) for image_id in ids], {**given, **columns})


def filled(*ids: str) -> Batch:
    count = len(ids)
    return batch_of(*ids, ink=[0.5] * count, seen_at=[1_700_000_000_000_000] * count, lens=["50 mm"] * count)


@pytest.fixture
def kudu_sink(kudu_options: KuduOptions) -> Iterator[Callable[..., KuduSink]]:
    made: list[KuduSink] = []

    def connect(columns: Any) -> KuduSink:
        made.append(KuduSink(kudu_options, columns))
        made[-1].connect()
        return made[-1]

    yield connect
    for sink in made:
        sink.close()


@pytest.fixture
def kudu_migration(kudu_options: KuduOptions) -> Iterator[KuduMigration]:
    migration = KuduMigration(kudu_options, NEW)
    yield migration
    migration.close()


def test_kudu_gets_what_is_missing_under_a_worker_that_goes_on(
    kudu_options: KuduOptions, kudu_sink: Callable[..., KuduSink], kudu_migration: KuduMigration
) -> None:
    images = f"{kudu_options.table_prefix}images"
    assert kudu_migration.plan() == []  # no table is there: the first worker makes them
    running = kudu_sink(OLD)
    assert not running.write(batch_of("a", "b"))
    with pytest.raises(SchemaMismatch, match=r"'ink' is missing.*`flumen tables migrate`"):
        kudu_sink(NEW)
    assert kudu_migration.plan() == [
        Addition("kudu", images, "ink", "FLOAT"),
        Addition("kudu", images, "seen_at", "UNIXTIME_MICROS"),
        Addition("kudu", images, "lens", "STRING"),
    ]
    kudu_migration.apply()
    kudu_migration.apply()
    assert kudu_migration.plan() == []

    assert not running.write(batch_of("b", "c"))
    assert not kudu_sink(NEW).write(filled("c", "d"))
    old_again = kudu_sink(OLD)  # restarted, or not upgraded yet
    assert not old_again.write(batch_of("d", "e"))
    old_again.remove(batch_of("e"))
    reader = KuduReader(kudu_options)
    stored = {
        row["id"]: row
        for part in reader.scan("images", ["id", "ink", "lens", "label"])
        for row in part.to_pylist()
    }
    reader.close()
    # "d" was stored anew by a worker that knows nothing of lenses: nothing is left of the image before it.
    assert {key: (row["ink"], row["lens"]) for key, row in stored.items()} == {
        "a": (None, None),
        "b": (None, None),
        "c": (0.5, "50 mm"),
        "d": (None, None),
    }
    assert {row["label"] for row in stored.values()} == {"7"}


def test_every_table_of_kudu_is_migrated_and_two_at_once_do_no_harm(
    kudu_options: KuduOptions, kudu_sink: Callable[..., KuduSink]
) -> None:
    whole = predictions_table(kudu_options.table_prefix)
    old = Table(whole.name, tuple(c for c in whole.columns if c.name not in ("confidence", "classified_at")))
    driver = open_driver(kudu_options)
    driver.create(old)
    migrations = [KuduMigration(kudu_options, NEW) for _ in range(2)]
    assert [(each.table, each.column) for each in migrations[0].plan()] == [
        (whole.name, "confidence"),
        (whole.name, "classified_at"),
    ]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(KuduMigration.apply, migrations))
    found = driver.describe(whole.name)
    assert found is not None
    assert {column.name for column in found.columns} == {column.name for column in whole.columns}
    assert not kudu_sink(NEW).write(filled("a"))
    for each in (driver, *migrations):
        each.close()


def test_what_adding_does_not_mend_is_named_and_nothing_is_changed(
    kudu_options: KuduOptions, kudu_sink: Callable[..., KuduSink]
) -> None:
    kudu_sink(OLD)
    others = [replace(column, kind=Kind.INT32) if column.name == "label" else column for column in NEW]
    migration = KuduMigration(kudu_options, others)
    for call in (migration.plan, migration.apply):
        with pytest.raises(SchemaMismatch, match="'label' is STRING, expected INT32"):
            call()
    migration.close()
    kudu_sink(OLD)


@pytest.fixture
def solr_options(older_index: Callable[..., SolrOptions]) -> SolrOptions:
    """An index of an older config set, without `lens`, what is made of it, and dynamic fields for numbers."""
    return older_index('"lens"', '"words"', '"*_f"')


def test_solr_gets_what_is_missing_under_a_worker_that_goes_on(solr_options: SolrOptions) -> None:
    migration = SolrMigration(solr_options, NEW)
    assert migration.plan() == []  # no index is there: the first worker makes it
    running = SolrSink(solr_options, OLD)
    running.connect()
    assert not running.write(batch_of("a", "b"))
    with pytest.raises(
        SchemaMismatch, match=r"no field 'lens', expected solr\.StrField.*`flumen tables migrate`"
    ):
        SolrSink(solr_options, NEW).connect()
    assert [(each.table, each.column, each.type) for each in migration.plan()] == [
        (solr_options.core, "*_f", "solr.FloatPointField"),
        (solr_options.core, "lens", "solr.StrField"),
        (solr_options.core, "words", "solr.TextField"),
    ]
    migration.apply()
    migration.apply()
    assert migration.plan() == []
    migration.close()

    assert not running.write(batch_of("b", "c"))
    new = SolrSink(solr_options, NEW)
    new.connect()
    assert not new.write(filled("c", "d"))
    reader = SolrReader(solr_options)
    reader.commit()
    assert [row["id"] for row in reader.search("*:*", sort="id asc")] == ["a", "b", "c", "d"]
    assert [row["id"] for row in reader.search("ink_f:[0.4 TO *] AND words:50", sort="id asc")] == ["c", "d"]
    for each in (running, new, reader):
        each.close()


def test_a_config_set_that_was_copied_anew_is_only_loaded(
    flumen_stack: Any, solr_options: SolrOptions
) -> None:
    """As `flumen up` of a newer version copies it under a core that is not loaded anew."""
    sink = SolrSink(solr_options, OLD)
    sink.connect()
    sink.close()
    system = requests.get(f"{flumen_stack.solr_url}/admin/info/system", timeout=60).json()
    folder = Path(system["solr_home"]) / "configsets" / solr_options.config_set / "conf"
    content = (CONFIGSET / "conf" / "schema.xml").read_bytes()
    (folder / "schema.xml").write_bytes(content)
    migration = SolrMigration(solr_options, NEW)
    assert migration.plan()
    migration.apply()
    assert migration.plan() == []
    migration.close()
    assert (folder / "schema.xml").read_bytes() == content
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_schema_on_another_machine_is_left_to_its_operator(
    solr_options: SolrOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = SolrSink(solr_options, OLD)
    sink.connect()
    sink.close()
    monkeypatch.setattr("flumen.stores.solr.migration._holds", lambda *_: False)
    migration = SolrMigration(solr_options, NEW)
    with pytest.raises(StoreRefused) as caught:
        migration.apply()
    migration.close()
    assert f"Copy {CONFIGSET} to " in str(caught.value)
    assert '<field name="lens" type="string" />' in str(caught.value)
