"""A watched folder whose watcher is told to stop: a file that was sent whole is done, one that was not is left."""

import tarfile
import zipfile
from pathlib import Path
from threading import Event

import pytest

from flumen.streams.publishing.sources import SourceOptions
from flumen.streams.publishing.sources.files import FoundFile
from flumen.streams.publishing.watching import _Round


@pytest.mark.parametrize("ending", ["zip", "tar"])
@pytest.mark.parametrize(
    ("stops_at", "done"), [("a.png", ["a.png"]), ("1", ["a.png"]), ("2", ["a.png", "b"])]
)
def test_a_stop_while_an_image_is_on_its_way(
    tmp_path: Path, ending: str, stops_at: str, done: list[str]
) -> None:
    """It may come before the next image is asked for: how long one is on its way, the machine and the broker decide."""
    for name in ("a.png", "1", "2", "c.png"):
        (tmp_path / name).write_bytes(name.encode())
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive, tarfile.open(tmp_path / "b.tar", "w") as tar:
        for name in ("1", "2"):
            archive.write(tmp_path / name, name)
            tar.add(tmp_path / name, name)
    files = [
        FoundFile(tmp_path / name, file_id, "")
        for name, file_id in (("a.png", "a.png"), (f"b.{ending}", "b"), ("c.png", "c.png"))
    ]
    stop = Event()
    work = _Round(stop, pytest.fail)
    for image in work.images(files, SourceOptions(max_image_bytes=100)):
        if image.content == stops_at.encode():
            stop.set()
        work.settle(image.id, None)
    assert [file.id for file in work.done()] == done
