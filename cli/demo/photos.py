"""The demo's second part: photos, by a model that shares nothing with the article's.

They are patches of real photographs, with what a camera would write into them, which is made up here. They go through
a worker of their own into tables and an index of their own: the article's table holds the article's images alone.
"""

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from flumen.cli.background import BackgroundWorker, background_worker
from flumen.cli.demo.flow import Flow, send
from flumen.cli.invocation import as_typed
from flumen.cli.output import console, how_many, print_rows
from flumen.models.datasets.textures import LABELS, SIDE
from flumen.stores.solr import SolrReader
from flumen.stores.solr.search import Search, parse_near
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.settings import Settings
from flumen.streams.wire import SourceImage

MODEL = "textures"
SEARCH = "label:stars AND aperture:[0 TO 2.8]"
FACETS = ("dominant_color", "camera_model")
NEAR = "52.5,13.4,10km"
_TOPICS = ("images_topic", "dead_topic", "resolutions_topic", "parked_topic")
_PATCHES = Path(__file__).resolve().parents[2] / "data" / "textures"
_COUNT = 50
_CAMERAS = (("flumen", "Demo One"), ("flumen", "Demo Two"))
_PLACES = ((52.52, 13.4), (52.5, 13.35), (45.46, 9.19))
_MAKE, _MODEL, _EXIF, _GPS = 0x010F, 0x0110, 0x8769, 0x8825
_F_NUMBER, _TAKEN_AT, _OFFSET = 0x829D, 0x9003, 0x9011


def photo_settings(settings: Settings) -> Settings:
    """Return the settings of the worker of photos: another model, and topics, group, tables and core of its own."""
    topics = {name: f"{getattr(settings, name)}.photos" for name in _TOPICS}
    other = {
        "model_name": MODEL,
        "group_id": f"{settings.group_id}-photos",
        "kudu_table_prefix": f"{settings.kudu_table_prefix}photos_",
        "solr_core": f"{settings.solr_core}-photos",
    }
    return settings.model_copy(update=topics | other)


def photo_worker(settings: Settings, keep: bool, grace_s: float) -> AbstractContextManager[BackgroundWorker]:
    """Start a worker for photos; it is stopped at the end, if it shall not be kept."""
    ensure_topics(settings)
    names = (*_TOPICS, "model_name", "group_id", "kudu_table_prefix", "solr_core")
    environment = {f"FLUMEN_{name.upper()}": str(getattr(settings, name)) for name in names}
    environment["FLUMEN_HTTP_PORT"] = "0"  # the setting's is the other worker's
    return background_worker(settings.home, keep, grace_s, name="worker-photos", settings=environment)


def send_photos(settings: Settings, worker: BackgroundWorker) -> Flow:
    """Publish photos, and show how they go through until all are stored."""
    return send(_photos(), _COUNT, settings, worker)


def show_photos(settings: Settings, sent: int) -> list[str]:
    """Show what can be asked of the photos; return what is not as it must be."""
    solr = SolrReader(settings.solr_options())
    try:
        solr.commit()
        total, right = solr.count(f"model:{MODEL}"), solr.count(f"model:{MODEL} AND correct:true")
        console.print(
            f"Patches of real photographs as JPEG, by the model [bold]{MODEL}[/], a convolutional network that reads "
            f"{SIDE}x{SIDE} in grey; [bold]{right}[/] of {total} are right.",
            highlight=False,
        )
        _ask(settings, solr)
    finally:
        solr.close()
    return [] if total >= sent else [f"Solr holds {how_many(total, 'photo')} of {sent}."]


def search_photos(settings: Settings) -> str:
    """Return the command that searches the photos, as one types it here."""
    options = [part for name in FACETS for part in ("--facet", name)]
    own = {"solr_core": settings.solr_core}
    return as_typed("search", SEARCH, *options, "--near", NEAR, settings=own)


def _ask(settings: Settings, solr: SolrReader) -> None:
    found = solr.find(Search(query=SEARCH, near=parse_near(NEAR), facets=FACETS, rows=3))
    console.print(search_photos(settings), style="dim", markup=False, highlight=False, soft_wrap=True)
    columns = ("id", "label", "aperture", *FACETS, "distance_km")
    print_rows(
        [{name: row.get(name) for name in columns} for row in found.rows], as_json=False, columns=columns
    )
    for name, values in found.facets.items():
        counts = ", ".join(f"{value} {count}" for value, count in values)
        console.print(f"{name.replace('_', ' ')}: {counts}", highlight=False)


def _photos() -> Iterator[SourceImage]:
    for number in range(_COUNT):
        label = number % len(LABELS)
        name = f"{LABELS[label]}-{number // len(LABELS):02d}.jpg"
        content = io.BytesIO()
        with Image.open(_PATCHES / LABELS[label] / name) as patch:
            patch.save(content, "JPEG", quality="keep", exif=_exif(number))
        yield SourceImage(
            f"photos/{name}", content.getvalue(), name, "demo", "image/jpeg", label, datetime.now(UTC)
        )


def _exif(number: int) -> Image.Exif:
    """Return what a camera would write: itself, the aperture, the time, the place."""
    exif = Image.Exif()
    exif[_MAKE], exif[_MODEL] = _CAMERAS[number % len(_CAMERAS)]
    exif.get_ifd(_EXIF).update(
        {
            _F_NUMBER: (1.8, 2.8, 5.6)[number % 3],
            _TAKEN_AT: f"2024:05:{1 + number % 28:02d} 12:00:00",
            _OFFSET: "+02:00",
        }
    )
    latitude, longitude = _PLACES[number % len(_PLACES)]
    exif.get_ifd(_GPS).update({1: "N", 2: _degrees(latitude), 3: "E", 4: _degrees(longitude)})
    return exif


def _degrees(value: float) -> tuple[float, float, float]:
    """Return degrees, minutes and seconds."""
    minutes = value % 1 * 60
    return int(value), int(minutes), minutes % 1 * 60
