"""Images in both stores, hostile ones among them, and a console over them: what the console's tests share."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from encoded_images import encoded
from markupsafe import escape
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from flumen.cli.console import make_live, make_stores
from flumen.console.access.gate import Gate
from flumen.console.app import ConsoleOptions, make_app
from flumen.console.server import make_server
from flumen.interceptor import Batch, Context, ImageMessage, intercept, load_chain, merge_columns
from flumen.models.datasets.idx import read_idx
from flumen.models.repository import Repository
from flumen.stores.kudu import KuduSink
from flumen.stores.solr import SolrReader, SolrSink
from flumen.streams.settings import Settings

DATA = Path(__file__).parents[2] / "data" / "mnist"
DIGITS = 60
EVIL = "<script>alert(1)</script>\u202e\"'>& /../é#?%00"
LONG = "n" * 4_096
TITLE = '"><img src=x onerror=alert(2)>\u202e\u2066' + "t" * 500
PACKET = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title><rdf:Alt><rdf:li>{0}</rdf:li></rdf:Alt></dc:title><dc:creator><rdf:Seq><rdf:li>{0}</rdf:li></rdf:Seq></dc:creator>
<dc:subject><rdf:Bag><rdf:li>{0}</rdf:li></rdf:Bag></dc:subject></rdf:RDF>"""
BERLIN, PARIS, SYDNEY = (52.52, "N", 13.405, "E"), (48.8566, "N", 2.3522, "E"), (33.8688, "S", 151.2093, "E")
PLACES = (BERLIN, BERLIN, PARIS, SYDNEY)
"""Where the last images were taken: before them are those that say nothing of it."""


def stored(settings: Settings) -> list[str]:
    """Put the images into both stores, and return their ids."""
    chain = load_chain()
    columns = merge_columns(step.columns for step in chain)
    model = Repository(settings.model_repository).load("mnist", 1)
    result = intercept(Batch(_messages()), Context(model, 1_700_000_000_000_000), chain)
    assert not result.errs, result.errs[0].error
    for sink in (KuduSink(settings.kudu_options(), columns), SolrSink(settings.solr_options(), columns)):
        sink.connect()
        assert not sink.write(result.oks)
        sink.close()
    with closing(SolrReader(settings.solr_options())) as reader:
        reader.commit()
    return [image.id for image in result.oks.images]


@contextmanager
def served(settings: Settings, gate: Gate, **bounds: Any) -> Iterator[str]:
    """Serve a console in this process; return its address."""
    stores = make_stores(settings)
    live = make_live(settings, stores)
    app = make_app(stores, ConsoleOptions(gate), live)
    server = make_server(app, ends=live.end_streams, **bounds)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive()


def _messages() -> Sequence[ImageMessage]:
    pixels = read_idx(DATA / "t10k-images-idx3-ubyte.gz")[:DIGITS]
    labels = read_idx(DATA / "t10k-labels-idx1-ubyte.gz")[:DIGITS]
    digits = [
        ImageMessage(
            f"digit-{at:02}", _png(each), 1, name=f"{at}.png", source="scans", known_label=int(labels[at])
        )
        for at, each in enumerate(pixels)
    ]
    digits[0] = ImageMessage(EVIL, _png(pixels[0], TITLE), 1, name=LONG, source=EVIL, known_label=7)
    digits[1] = ImageMessage("gif", encoded(Image.fromarray(pixels[1]), "GIF"), 1, name=EVIL, source="=1+1")
    digits[2] = ImageMessage(
        "tiff", encoded(Image.fromarray(pixels[2]), "TIFF"), 1, name="2.tiff", source="scans"
    )
    brighter = np.minimum(pixels[5].astype(int) + 9, 255).astype(np.uint8)
    digits[6] = ImageMessage("twin/../of 5", _png(brighter), 1, name="twin.png", source="scans")
    for number, place in enumerate(PLACES):
        at = DIGITS - len(PLACES) + number
        digits[at] = ImageMessage(f"place-{number}", _photo(pixels[at], place), 1, source="cameras")
    return digits


def _png(pixels: Any, title: str = "") -> bytes:
    about = PngInfo()
    if title:
        about.add_itxt("XML:com.adobe.xmp", PACKET.format(escape(title)))
    return encoded(Image.fromarray(pixels), "PNG", pnginfo=about)


def _photo(pixels: Any, place: tuple[float, str, float, str]) -> bytes:
    latitude, north, longitude, east = place
    exif = Image.Exif()
    exif[272] = "Leica M10"
    exif[34665] = {33437: 2.0 + latitude % 3, 36867: "2024:06:01 12:00:00", 36881: "Z"}
    exif[34853] = {1: north, 2: (latitude, 0.0, 0.0), 3: east, 4: (longitude, 0.0, 0.0)}
    return encoded(Image.fromarray(pixels), "PNG", exif=exif)
