"""`flumen search --like` against a real index: pictures that look the same are found, and others are not."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from encoded_images import encoded
from PIL import Image, ImageEnhance
from skimage import data
from typer.testing import CliRunner

from flumen.cli import main
from flumen.interceptor import Batch, Context, ImageMessage, intercept, load_chain, merge_columns
from flumen.interceptor.columns import Column, Kind
from flumen.models.datasets.idx import read_idx
from flumen.models.repository import Repository
from flumen.replay.sql import query
from flumen.stores.errors import NoSuchImage, SchemaMismatch, StoreRefused
from flumen.stores.kudu import KuduReader, KuduSink
from flumen.stores.solr import SolrMigration, SolrOptions, SolrReader, SolrSink
from flumen.stores.solr.search import Search
from flumen.streams.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "alike.md"
DIGITS = Path(__file__).parents[2] / "data" / "mnist" / "t10k-images-idx3-ubyte.gz"
ID = Column("id", Kind.STRING, "", nullable=False)
HASH = Column("perceptual_hash", Kind.INT64, "")
OTHERS = ("chelsea", "coffee", "rocket", "camera", "coins", "moon")
LONG = "<script>" + "x" * 500


def pictures() -> dict[str, bytes]:
    """One photo in six forms, six other photos, 200 digits, and an image of one shade."""
    photo = Image.fromarray(data.astronaut())
    return {
        "photo": encoded(photo),
        "again": encoded(photo),
        "jpeg": encoded(photo, "JPEG", quality=40),
        "small": encoded(photo.resize((200, 200))),
        "large": encoded(photo.resize((900, 900)), "WEBP"),
        "brighter": encoded(ImageEnhance.Brightness(photo).enhance(1.15), "JPEG", quality=80),
        "mirrored": encoded(photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        **{name: encoded(Image.fromarray(getattr(data, name)())) for name in OTHERS},
        **{
            f"digit-{row}": encoded(Image.fromarray(pixels))
            for row, pixels in enumerate(read_idx(DIGITS)[:200])
        },
        "grey": encoded(Image.new("L", (28, 28), 200)),
    }


@pytest.fixture
def index(settings: Settings) -> Iterator[SolrReader]:
    chain = load_chain()
    columns = merge_columns(step.columns for step in chain)
    images = [
        ImageMessage(image_id, content, 1, name=LONG if image_id == "jpeg" else f"{image_id}.img")
        for image_id, content in pictures().items()
    ]
    model = Repository(settings.model_repository).load("mnist", 1)
    result = intercept(Batch(images), Context(model, 1_700_000_000_000_000), chain)
    assert not result.errs
    for sink in (KuduSink(settings.kudu_options(), columns), SolrSink(settings.solr_options(), columns)):
        sink.connect()
        assert not sink.write(result.oks)
        sink.close()
    reader = SolrReader(settings.solr_options())
    reader.commit()
    yield reader
    reader.close()


def test_what_looks_the_same_is_found_and_nothing_else(
    index: SolrReader, settings: Settings, run_flumen: Callable[..., Any]
) -> None:
    done = run_flumen("search", "--like", "photo", "--json")
    assert done.returncode == 0, done.stderr.decode()
    answer = json.loads(done.stdout)
    assert {image["id"] for image in answer["images"]} == {"again", "jpeg", "small", "large", "brighter"}
    assert answer["images"][0]["id"] == "again"
    distances = [image["distance"] for image in answer["images"]]
    assert distances == sorted(distances)
    assert (distances[0], answer["found"], sum(answer["distances"].values())) == (0, 5, 5)
    assert "hash_bands" not in answer["images"][0]
    for image in answer["images"]:
        assert (image["perceptual_hash"] ^ answer["perceptual_hash"]).bit_count() == image["distance"]

    kudu = KuduReader(settings.kudu_options())
    assert (kudu.get("photo") or {})["perceptual_hash"] == answer["perceptual_hash"]
    assert (kudu.get("grey") or {})["perceptual_hash"] is None
    [statement] = re.findall(r'flumen sql "(select .*)"', PAGE.read_text())
    pairs = set(query(kudu, statement).rows)
    assert {("again", "photo"), ("jpeg", "photo")} <= pairs
    assert not any("mirrored" in pair for pair in pairs)
    kudu.close()

    assert index.find_alike("photo", Search(query="format:JPEG"), 7).counts.keys() <= set(range(8))
    jpegs = index.find_alike("photo", Search(query="format:JPEG"), 7).rows
    assert {row["id"] for row in jpegs} == {"jpeg", "brighter"}
    assert sum(index.find_alike("coffee", Search(), 15).counts.values()) == 0

    table = run_flumen("search", "format:JPEG", "--like", "photo").stdout.decode()
    assert "<script>xx" in table
    assert "x" * 101 not in table
    assert "2 images look like it within 7 bits, 2 shown" in table


def test_every_digit_that_is_near_is_found(index: SolrReader) -> None:
    """Exactly those that a look at all of them finds, at any distance; and few are as near as photos encoded anew."""
    hashes = {
        row["id"]: row["perceptual_hash"]
        for row in index.search("id:digit-*", rows=200)
        if row["perceptual_hash"]
    }
    assert len(hashes) == 200
    near = 0
    for image_id in ("digit-0", "digit-7", "digit-70"):
        for within in (0, 3, 7, 15):
            expected = {
                other: apart
                for other, hash_ in hashes.items()
                if (apart := (hash_ ^ hashes[image_id]).bit_count()) <= within and other != image_id
            }
            found = index.find_alike(image_id, Search(query="id:digit-*", rows=500), within)
            assert {row["id"]: row["distance"] for row in found.rows} == expected
            assert sum(found.counts.values()) == len(expected)
            nearest = index.find_alike(image_id, Search(query="id:digit-*", rows=5), within).rows
            assert [row["distance"] for row in nearest] == sorted(expected.values())[:5]
            near += len(expected) if within == 3 else 0
    assert near <= 3


def test_what_cannot_be_looked_for_is_said(index: SolrReader, run_flumen: Callable[..., Any]) -> None:
    for wrong, said in (
        ("nobody", "there is no image 'nobody' in the index"),
        ("grey", "it is of one shade"),
    ):
        with pytest.raises(NoSuchImage, match=said):
            index.find_alike(wrong, Search(), 7)
    with pytest.raises(StoreRefused, match=r"no field 'lable'\. Nearest: label"):
        index.find_alike("photo", Search(query="lable:7", fields={"label": "label"}), 7)
    refused = run_flumen("search", "--like", "nobody")
    assert refused.returncode == 1
    assert b"NoSuchImage" in refused.stderr


@pytest.mark.parametrize(
    "arguments", [["--within", "3"], ["--like", "a", "--near", "1,2,3km"], ["--like", "a", "--within", "16"]]
)
def test_a_wrong_usage(arguments: list[str]) -> None:
    assert CliRunner().invoke(main.app, ["search", *arguments]).exit_code == 2


def test_an_older_index_gets_hashes_by_a_migration(older_index: Callable[..., SolrOptions]) -> None:
    options = older_index('"hash_bands"', '"perceptual_hash"', '"bands"')

    write(SolrSink(options, [ID]), {"id": ["old"]})
    reader = SolrReader(options)
    with pytest.raises(SchemaMismatch, match=r"no perceptual hashes yet\. Run `flumen tables migrate`"):
        reader.find_alike("old", Search(), 7)
    migration = SolrMigration(options, [ID, HASH])
    assert {each.column for each in migration.plan()} == {"perceptual_hash", "hash_bands"}
    migration.apply()
    migration.close()
    write(SolrSink(options, [ID, HASH]), {"id": ["new", "near"], "perceptual_hash": [0b1, 0b111]})
    reader.commit()
    with pytest.raises(NoSuchImage, match="of an earlier version of flumen"):
        reader.find_alike("old", Search(), 7)
    assert [(row["id"], row["distance"]) for row in reader.find_alike("new", Search(), 7).rows] == [
        ("near", 2)
    ]
    reader.close()


def write(sink: SolrSink, columns: dict[str, Any]) -> None:
    sink.connect()
    assert not sink.write(Batch([ImageMessage(image_id, b"", 0) for image_id in columns["id"]], columns))
    sink.close()
