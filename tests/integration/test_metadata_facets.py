"""Images with metadata of every kind, through the chain into both stores; and the facets that docs/solr.md shows."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import loopback
import numpy as np
import pytest
from PIL import Image

from flumen.interceptor import Batch, Context, ImageMessage, intercept, load_chain, merge_columns
from flumen.models.repository import Repository
from flumen.replay.sql import query
from flumen.stores.kudu import KuduReader, KuduSink
from flumen.stores.solr import SolrReader, SolrSink
from flumen.streams.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "solr.md"
PACKET = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:subject><rdf:Bag><rdf:li>Beach at night</rdf:li><rdf:li>sea</rdf:li></rdf:Bag></dc:subject></rdf:RDF>"""
BERLIN, PARIS = (52.52, 13.405), (48.8566, 2.3522)


def photo(
    camera: str, aperture: float, place: tuple[float, float], zone: str | None, iso: int = 200
) -> bytes:
    exif = Image.Exif()
    exif[272] = camera
    exif[34665] = {33437: aperture, 33434: 0.01, 34855: iso, 36867: "2024:06:01 12:00:00", 37385: 1}
    if zone is not None:
        exif[34665][36881] = zone
    exif[34853] = {1: "N", 2: (place[0], 0.0, 0.0), 3: "E", 4: (place[1], 0.0, 0.0)}
    pixels = np.zeros((60, 80, 3), dtype=np.uint8)
    pixels[10:30, 10:30] = (0, 0, 250)
    pixels[40:50, 50:70] = (0, 0, 250)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", exif=exif)
    return out.getvalue()


def plain(**options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("L", (28, 28), 200).save(out, "JPEG", **options)
    return out.getvalue()


IMAGES = {
    "berlin": photo("Leica M10", 2.0, BERLIN, "+02:00"),
    "berlin-2": photo("Leica M10", 5.6, BERLIN, None, iso=1600),
    "paris": photo("Nikon D5", 11.0, PARIS, "Z"),
    "beach": plain(xmp=PACKET.encode()),
    "broken": plain(exif=b"Exif\0\0nothing of the kind"),
    "bare": plain(),
}


@pytest.fixture
def reader(settings: Settings) -> Iterator[SolrReader]:
    chain = load_chain()
    columns = merge_columns(step.columns for step in chain)
    model = Repository(settings.model_repository).load("mnist", 1)
    images = [ImageMessage(name, content, 1_700_000_000_000_000) for name, content in IMAGES.items()]
    result = intercept(Batch(images), Context(model, 1_700_000_000_000_000), chain)
    assert not result.errs
    for sink in (
        KuduSink(settings.kudu_options(), columns),
        SolrSink(settings.solr_options(), columns),
    ):
        sink.connect()
        assert not sink.write(result.oks)
        sink.close()
    reader = SolrReader(settings.solr_options())
    reader.commit()
    yield reader
    reader.close()


def facets(settings: Settings, body: str) -> dict[str, Any]:
    url = f"{settings.solr_url}/{settings.solr_core}/select"
    answer = loopback.post(url, data=body, headers={"Content-Type": "application/json"}, timeout=60)
    assert answer.ok, answer.text
    found: dict[str, Any] = answer.json()["facets"]
    return found


def counts(facet: dict[str, Any]) -> dict[Any, int]:
    return {bucket["val"]: bucket["count"] for bucket in facet["buckets"]}


def test_every_facet_of_the_page(settings: Settings, reader: SolrReader) -> None:
    """The bodies stand in docs/solr.md, in this order; only the label asked for is the one these images have."""
    label = next(iter(reader.facet_counts("label", query="id:berlin")))
    bodies = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    light, objects, cameras, times, places, words, model, errors = (
        facets(settings, body.replace("label:7", f"label:{label}")) for body in bodies
    )
    assert counts(light["colors"])["blue"] == 3
    assert light["brightness"]["buckets"][0]["val"] == "dark"
    assert light["entropy"]["buckets"]
    assert light["median_sharpness"] > 0
    assert counts(objects["objects"]) == {0: 3, 2: 3}
    assert 0 < objects["objects"]["buckets"][1]["confidence"] <= 1

    assert counts(cameras["cameras"]) == {"Leica M10": 2, "Nikon D5": 1}
    leica = cameras["cameras"]["buckets"][0]
    assert counts(leica["apertures"]) == {"[0,2.8]": 1, "(2.8,8]": 1, "(8,*)": 0}
    assert leica["longest_exposure"] == pytest.approx(0.01)
    assert counts(leica["flash"]) == {True: 2}

    assert counts(times["known_zone"]) == {True: 2, False: 1}
    assert counts(times["known_zone"]["buckets"][0]["years"]) == {"2024-01-01T00:00:00Z": 2}

    grid = places["map"]
    assert sum(map(sum, filter(None, grid["counts_ints2D"]))) == 3
    assert places["near"]["count"] == 2

    assert counts(words["keywords"]) == {"Beach at night": 1, "sea": 1}
    sensitivities = model["models"]["buckets"][0]["sensitivities"]
    assert counts(sensitivities) == {"[0,400]": 2, "(400,*)": 1}
    assert counts(errors["errors"]) == {"EXIF: it does not start as a TIFF structure": 1}
    assert counts(errors["errors"]["buckets"][0]["formats"]) == {"JPEG": 1}


def test_what_people_ask(reader: SolrReader) -> None:
    def found(query: str) -> list[str]:
        return [row["id"] for row in reader.search(query)]

    assert found("aperture:[0 TO 2.8]") == ["berlin"]
    assert found("taken_at:[2024-06-01T09:00:00Z TO 2024-06-01T10:30:00Z]") == ["berlin"]
    assert found("{!geofilt sfield=location pt=48.86,2.35 d=5}") == ["paris"]
    assert found("words:leica AND iso:[1000 TO *]") == ["berlin-2"]
    assert found("keywords:sea") == ["beach"]
    assert found("-camera_model:*") == ["bare", "beach", "broken"]
    assert found("-red_mean:*") == ["bare", "beach", "broken"], "grey images have no channels"


def test_the_sql_of_the_page(reader: SolrReader, settings: Settings) -> None:
    """The statements stand in docs/metadata.md."""
    page = (PAGE.parent / "metadata.md").read_text()
    darkest, beaches = re.findall(r'^flumen sql "(.*)"$', page, re.MULTILINE)
    kudu = KuduReader(settings.kudu_options())
    shares = [share for _, share in query(kudu, darkest).rows]
    assert shares == pytest.approx([0.875, 0.875, 0.875, 0, 0])
    rows = query(kudu, beaches.replace("'beach'", "'Beach at night'")).rows
    assert [image_id for image_id, _ in rows] == ["beach"]
    kudu.close()


def as_solr_has_it(column: str, stored: Any, indexed: Any) -> Any:
    """A value of Kudu's in Solr's form: lists in order of the alphabet, floats of the shortest text, milliseconds."""
    if isinstance(indexed, list):
        return sorted(json.loads(stored))
    if isinstance(stored, float):
        return pytest.approx(stored, rel=1e-6)
    return stored - stored % 1000 if column.endswith("_at") and stored is not None else stored


def test_kudu_and_solr_agree(settings: Settings, reader: SolrReader) -> None:
    kudu = KuduReader(settings.kudu_options())
    for name in IMAGES:
        stored, indexed = kudu.get(name), reader.get(name)
        assert stored is not None
        assert indexed is not None
        for column in (stored.keys() & indexed.keys()) - {"image_as_pgm"}:
            assert indexed[column] == as_solr_has_it(column, stored[column], indexed[column]), column
        assert len(json.loads(stored["luminance_histogram"])) == 16
        assert json.loads(stored["palette"])[0]["name"] == stored["dominant_color"]
    kudu.close()
