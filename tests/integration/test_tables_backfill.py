"""`flumen tables backfill`, on real servers: images stored without a perceptual hash get the one they lack."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoded_images import encoded
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from flumen.cli import main
from flumen.cli.background import environment_of
from flumen.interceptor import Batch, Context, ImageMessage, Preprocess, intercept, load_chain, merge_columns
from flumen.models.processes.decoder import GuardedDecoder
from flumen.models.repository import Repository
from flumen.replay.backfill import Backfill
from flumen.stores.hashes import Hashed
from flumen.stores.kudu import KuduHashes, KuduReader, KuduSink
from flumen.stores.solr import SolrHashes, SolrReader, SolrSink
from flumen.stores.solr.search import Search
from flumen.streams.settings import Settings

SHIPPED = Path(__file__).parents[2] / "models" / "shipped"
HASH = "perceptual_hash"
COLUMNS = merge_columns(step.columns for step in load_chain())


def pictures() -> dict[str, bytes]:
    """Photos, two of them in chunks; drawings; one of one shade, one of few pixels."""
    photo = Image.fromarray(data.astronaut())
    random = np.random.default_rng(3)
    small = {
        f"small {row}": encoded(Image.fromarray(random.integers(0, 256, (28, 28), dtype=np.uint8)))
        for row in range(40)
    }
    return {
        "photo": encoded(photo),
        "jpeg": encoded(photo, "JPEG", quality=60),
        "large": encoded(photo.resize((1500, 1100)), "JPEG", quality=95),
        "coffee": encoded(Image.fromarray(data.coffee()), "WEBP"),
        **small,
        "grey": encoded(Image.new("L", (28, 28), 200)),
        "thin": encoded(Image.fromarray(random.integers(0, 256, (5, 28), dtype=np.uint8))),
    }


def classified(contents: Mapping[str, bytes]) -> Batch:
    model = Repository(str(SHIPPED)).load("mnist", 1)
    images = [ImageMessage(image_id, content, 1) for image_id, content in contents.items()]
    found = intercept(Batch(images), Context(model, 1_700_000_000_000_000), load_chain())
    assert not found.errs
    return found.oks


def store(settings: Settings, batch: Batch, *, solr: bool = True) -> None:
    sinks = [KuduSink(settings.kudu_options(), COLUMNS)]
    for sink in [*sinks, SolrSink(settings.solr_options(), COLUMNS)] if solr else sinks:
        sink.connect()
        assert not sink.write(batch)
        sink.close()


def hashes(settings: Settings) -> dict[str, int | None]:
    with closing(KuduReader(settings.kudu_options())) as kudu:
        rows = [row for batch in kudu.scan("images", ["id", HASH]) for row in batch.to_pylist()]
    return {row["id"]: row[HASH] for row in rows}


def in_solr(settings: Settings) -> dict[str, int | None]:
    with closing(SolrReader(settings.solr_options())) as reader:
        reader.commit()
        return {row["id"]: row[HASH] for row in reader.search(rows=1000)}


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)

    def command() -> Any:
        done = CliRunner().invoke(main.app, ["tables", "backfill", "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return command


def test_hashes_are_those_of_the_live_path(settings: Settings, run: Callable[[], Any]) -> None:
    batch = classified(pictures())
    expected = dict(zip([image.id for image in batch.images], batch.columns[HASH], strict=True))
    broken = batch.take([4]).with_columns(id=["broken"])
    broken = Batch([ImageMessage("broken", b"P5 28 28 255\n", 1)], broken.columns)
    store(settings, batch.without(HASH))
    store(settings, broken.without(HASH))
    assert set(hashes(settings).values()) == {None}

    answer = run()
    assert (answer["images"], answer["hashed"]) == (45, 44)  # "grey" and "thin" are known to have none
    assert answer["left_out"] == {"that cannot be decoded": 1}
    assert [each["id"] for each in answer["for_example"]["that cannot be decoded"]] == ["broken"]
    expected["broken"] = None
    assert hashes(settings) == in_solr(settings) == expected
    with closing(SolrReader(settings.solr_options())) as reader:
        assert {row["id"] for row in reader.find_alike("photo", Search(), 7).rows} == {"jpeg", "large"}
        kept = reader.get("photo")
    assert kept is not None
    assert (kept["width"], kept["model"], kept["classified_at"]) == (512, "mnist", 1_700_000_000_000_000)

    again = run()
    assert (again["images"], again["hashed"]) == (1, 0)
    assert hashes(settings) == expected


class Interrupted(Exception):
    pass


def test_what_was_ended_is_gone_on_with(settings: Settings, run: Callable[[], Any]) -> None:
    batch = classified({name: content for name, content in pictures().items() if name.startswith("small")})
    expected = dict(zip([image.id for image in batch.images], batch.columns[HASH], strict=True))
    store(settings, batch.without(HASH))
    kudu, solr = KuduHashes(settings.kudu_options()), SolrHashes(settings.solr_options())
    with closing(kudu), closing(solr), closing(KuduReader(settings.kudu_options())) as tables:
        solr.connect()
        half = {image_id: Hashed(int(expected[image_id]), None) for image_id in list(expected)[:20]}
        row = tables.get("small 3") or {}
        assert row["sha256"]
        stored = {
            image_id: Hashed(each.hash_, (tables.get(image_id) or {})["sha256"])
            for image_id, each in half.items()
        }
        assert solr.set_hashes(stored) == 20  # killed before Kudu had them
        assert solr.set_hashes(half) == 0  # of other images
        kudu.connect()
        some = dict(list(stored.items())[:5])
        assert kudu.set_hashes(some) == 5
        assert kudu.set_hashes(some) == 0
        assert kudu.set_hashes({"small 39": Hashed(1, "of another image"), "nobody": Hashed(1, None)}) == 0
    answer = run()
    assert (answer["images"], answer["hashed"], answer["left_out"]) == (35, 35, {})
    assert hashes(settings) == in_solr(settings) == expected


def test_images_that_change_meanwhile(settings: Settings) -> None:
    """One is deleted while it is decoded, one is replaced by a new worker and one by an old one."""
    contents = {name: content for name, content in pictures().items() if name.startswith("small")}
    batch = classified(contents)
    store(settings, batch.without(HASH))
    names = list(contents)
    others = classified({names[1]: contents[names[5]], names[2]: contents[names[6]]})
    decoder = GuardedDecoder()
    chain: list[str] = []

    def decode(content: bytes, limits: Any, preprocess: Preprocess) -> Any:
        return decoder(content, limits, preprocess)

    class Meanwhile(KuduHashes):
        """Others write behind the look at Kudu's rows, before the update."""

        def _update(self, ids: Sequence[str], values: Sequence[int | None]) -> None:
            if not chain:
                chain.append("done")
                sink = KuduSink(settings.kudu_options(), COLUMNS)
                sink.connect()
                sink.remove(batch.take([0]))
                assert not sink.write(others.take([0]))
                assert not sink.write(others.take([1]).without(HASH))
                sink.close()
            super()._update(ids, values)

    with (
        closing(KuduReader(settings.kudu_options())) as tables,
        closing(Meanwhile(settings.kudu_options())) as kudu,
    ):
        kudu.connect()
        report = Backfill(tables, [kudu], lambda *_: None, settings.limits(), decode).run()
    decoder.close()
    found = hashes(settings)
    assert names[0] not in found
    assert found[names[1]] in (None, others.columns[HASH][0])
    assert found[names[2]] is None
    expected = dict(zip(names, batch.columns[HASH], strict=True))
    assert {name: found[name] for name in names[3:]} == {name: expected[name] for name in names[3:]}
    assert report.images == 40
