"""`flumen search --like` by the last hidden layer, on real servers: digits are near digits of their class."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import loopback
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from flumen.cli import main
from flumen.cli.background import environment_of
from flumen.interceptor import Batch, Classifier, Context, ImageMessage, intercept, load_chain, merge_columns
from flumen.models.datasets.idx import read_idx
from flumen.models.manifest import ModelOutput, from_json
from flumen.models.repository import Repository
from flumen.models.trainers.embedding import with_last_hidden
from flumen.stores.errors import NoEmbedding, SchemaMismatch
from flumen.stores.kudu import KuduReader, KuduSink
from flumen.stores.solr import SolrMigration, SolrOptions, SolrReader, SolrSink
from flumen.stores.solr.schema import VECTORS
from flumen.streams.settings import Settings

DATA = Path(__file__).parents[2] / "data" / "mnist"
SHIPPED = Path(__file__).parents[2] / "models" / "shipped" / "mnist" / "1"
COUNT = 400
FIELD = 128
"""The size of the index's field for its 100 neurons."""

TOP = 10
COLUMNS = merge_columns(step.columns for step in load_chain())


def digits(count: int) -> list[ImageMessage]:
    pixels, labels = (read_idx(DATA / f"t10k-{name}-ubyte.gz") for name in ("images-idx3", "labels-idx1"))
    return [
        ImageMessage(
            f"digit-{row}", b"P5 28 28 255\n" + pixels[row].tobytes(), 1, known_label=int(labels[row])
        )
        for row in range(count)
    ]


def repository_with_embedding(folder: Path) -> Repository:
    """The shipped model twice: as it is, and giving its last hidden layer as well."""
    repository = Repository(str(folder))
    content = (SHIPPED / "model.onnx").read_bytes()
    manifest = from_json((SHIPPED / "manifest.json").read_bytes())
    repository.register(content, manifest)
    wider = with_last_hidden(content)
    output = ModelOutput("probabilities", "embedding")
    repository.register(wider, replace(manifest, sha256=sha256(wider).hexdigest(), output=output))
    return repository


def store(settings: Settings, images: list[ImageMessage], model: Classifier) -> None:
    found = intercept(Batch(images), Context(model, 1_700_000_000_000_000), load_chain())
    assert not found.errs
    for sink in (KuduSink(settings.kudu_options(), COLUMNS), SolrSink(settings.solr_options(), COLUMNS)):
        sink.connect()
        assert not sink.write(found.oks)
        sink.close()


@dataclass(frozen=True, slots=True)
class Stored:
    """What stands in Kudu of each digit: its id, its known label, its embedding of length 1."""

    ids: list[str]
    labels: Any
    units: Any
    reader: SolrReader


@pytest.fixture
def stored(settings: Settings, tmp_path: Path) -> Iterator[Stored]:
    repository = repository_with_embedding(tmp_path)
    store(settings, digits(COUNT), repository.load("mnist", 2))
    store(settings, [replace(digits(1)[0], id="by mnist@1")], repository.load("mnist", 1))
    kudu, reader = KuduReader(settings.kudu_options()), SolrReader(settings.solr_options())
    rows = [
        row for batch in kudu.scan("images", ["id", "knownlabel", "embedding"]) for row in batch.to_pylist()
    ]
    kudu.close()
    reader.commit()
    assert [row["id"] for row in rows if row["embedding"] is None] == ["by mnist@1"]
    rows = [row for row in rows if row["embedding"]]
    embeddings = np.array([np.frombuffer(row["embedding"], "<f4") for row in rows], np.float64)
    units = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    yield Stored([row["id"] for row in rows], np.array([row["knownlabel"] for row in rows]), units, reader)
    reader.close()


@pytest.fixture
def flumen(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command in this process, with the test's settings."""
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: CliRunner().invoke(main.app, arguments)


def cosines(stored: Stored, row: int) -> Any:
    """Of the angles to all digits, and of that to itself less than any."""
    found = stored.units @ stored.units[row]
    found[row] = -2
    return found


def test_neighbours_of_digits(stored: Stored, settings: Settings, flumen: Callable[..., Result]) -> None:
    hits = alike = 0
    asked = range(0, COUNT, 10)
    for row in asked:
        expected = cosines(stored, row)
        found = stored.reader.find_neighbours(stored.ids[row], rows=TOP)
        assert (found.model, found.model_version, len(found.rows)) == ("mnist", 2, TOP)
        given = {each["id"]: each["similarity"] for each in found.rows}
        for image_id, similarity in given.items():
            assert similarity == pytest.approx(expected[stored.ids.index(image_id)], abs=1e-5)
        hits += len(given.keys() & {stored.ids[one] for one in np.argsort(-expected)[:TOP]})
        alike += sum(each["knownlabel"] == stored.labels[row] for each in found.rows)
    assert hits / TOP / len(asked) >= 0.9
    assert alike / TOP / len(asked) >= 0.9
    look_by_command(stored.ids[0], flumen)
    audit_vectors(stored, settings, flumen)


def look_by_command(image_id: str, flumen: Callable[..., Result]) -> None:
    answer = json.loads(flumen("search", "--like", image_id, "--json").stdout)
    assert (answer["by"], answer["model"], len(answer["images"])) == ("embedding", "mnist", 10)
    assert not any(name.startswith(("embedding", "score")) for image in answer["images"] for name in image)
    filtered = flumen("search", "width:28 AND knownlabel:3", "--like", image_id, "--limit", "4")
    assert "4 images nearest to it by the embedding of mnist@2" in filtered.stdout
    by_hash = json.loads(flumen("search", "--like", image_id, "--by", "hash", "--json").stdout)
    assert (by_hash["by"], by_hash["within"]) == ("hash", 7)
    within = json.loads(flumen("search", "--like", image_id, "--within", "3", "--json").stdout)
    assert (within["by"], within["within"]) == ("hash", 3)

    without = json.loads(flumen("search", "--like", "by mnist@1", "--json").stdout)
    assert (without["by"], without["images"][0]["id"]) == ("hash", "digit-0")
    refused = flumen("search", "--like", "by mnist@1", "--by", "embedding").exception
    assert isinstance(refused, NoEmbedding)
    assert "the model that classified it, mnist@1, names none" in str(refused)


def audit_vectors(stored: Stored, settings: Settings, flumen: Callable[..., Result]) -> None:
    def audit(*arguments: str) -> Any:
        answer = json.loads(flumen("audit", "--grace", "0", "--json", *arguments).stdout)
        assert answer["images"] == COUNT + 1
        [different] = [each for each in answer["kinds"] if each["kind"] == "different"]
        return different

    assert audit()["found"] == 0
    other = np.pad(stored.units[3], (0, FIELD - stored.units.shape[1])).tolist()
    name = f"embedding_{FIELD}"
    damage = [
        {"id": stored.ids[0], name: {"set": None}},
        {"id": stored.ids[1], name: {"set": other}},
        {"id": "by mnist@1", name: {"set": other}},
    ]
    options = settings.solr_options()
    update = f"{options.url}/{options.core}/update?commit=true"
    assert loopback.post(update, json=damage, timeout=60).status_code == 200
    mended = audit("--fix")
    assert (mended["found"], mended["mended"]) == (3, 3)
    assert [each["what"] for each in mended["for_example"]] == [[name]] * 3
    for row in (0, 1):
        [nearest] = stored.reader.find_neighbours(stored.ids[row], rows=1).rows
        assert nearest["similarity"] == pytest.approx(cosines(stored, row).max(), abs=1e-5)


@pytest.mark.parametrize(
    "arguments", [["--by", "hash"], ["--like", "a", "--by", "embedding", "--within", "3"]]
)
def test_a_wrong_usage(arguments: list[str]) -> None:
    assert CliRunner().invoke(main.app, ["search", *arguments]).exit_code == 2


def test_an_older_index_gets_vectors_by_a_migration(older_index: Callable[..., SolrOptions]) -> None:
    options = older_index("embedding_", "vector_")
    declared = [column for column in COLUMNS if column.name in ("id", "model", "model_version", "embedding")]
    columns = {"id": ["old"], "model": ["mnist"], "model_version": [1]}
    write(SolrSink(options, declared[:-1]), columns)
    reader = SolrReader(options)
    with pytest.raises(SchemaMismatch, match=r"no embeddings yet\. Run `flumen tables migrate`"):
        reader.find_neighbours("old")
    migration = SolrMigration(options, declared)
    assert {each.column for each in migration.plan()} == {each.name for each in VECTORS}
    migration.apply()
    migration.close()
    cells = [np.float32(each).tobytes() for each in ([1, 0], [3, 4])]
    write(
        SolrSink(options, declared),
        {**columns, "id": ["new", "near"], "embedding": cells, "model": ["m"] * 2, "model_version": [1, 1]},
    )
    reader.commit()
    with pytest.raises(NoEmbedding):
        reader.find_neighbours("old")
    [found] = reader.find_neighbours("new").rows
    assert (found["id"], found["similarity"]) == ("near", pytest.approx(0.6, abs=1e-6))
    reader.close()


def write(sink: SolrSink, columns: dict[str, Any]) -> None:
    sink.connect()
    assert not sink.write(Batch([ImageMessage(image_id, b"", 0) for image_id in columns["id"]], columns))
    sink.close()
