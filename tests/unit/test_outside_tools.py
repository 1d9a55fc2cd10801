"""The same answers from exiftool and ImageMagick, where they are installed: programs that share no code with Pillow.

On Debian: apt-get install libimage-exiftool-perl imagemagick.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exif_blocks import block
from images import encoded
from PIL import Image
from test_metadata_exif import EXPECTED, columns_of, everything
from test_metadata_texts import PACKET, TEXTS

from flumen.interceptor.statistics.step import measure


def run(program: str, *arguments: str) -> str:
    """What a program prints; where it is not installed, the test is skipped and says what to install."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed: apt-get install libimage-exiftool-perl imagemagick")
    return subprocess.run([found, *arguments], capture_output=True, check=True, text=True).stdout


def pixels() -> np.ndarray:
    """Colours, edges and a soft shade: no statistic of it is a round number."""
    rows, columns = np.mgrid[0:60, 0:90]
    image = np.stack([rows * 4, columns * 2, (rows * columns) % 256], axis=-1).astype(np.uint8)
    image[10:30, 20:50] = (250, 240, 10)
    return image


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_exiftool_reads_the_same(tmp_path: Path, image_format: str, order: str) -> None:
    """Coordinates to the 13 digits that exiftool prints, everything else equal."""
    path = tmp_path / f"image.{image_format.lower()}"
    options = {"exif": block(everything(order), order)}
    path.write_bytes(encoded(Image.new("RGB", (16, 16)), image_format, **options))
    (theirs,) = json.loads(run("exiftool", "-json", "-n", str(path)))
    ours = columns_of(path.read_bytes())
    same = {
        "camera_make": "Make",
        "camera_model": "Model",
        "lens": "LensModel",
        "software": "Software",
        "orientation": "Orientation",
        "aperture": "FNumber",
        "exposure_time": "ExposureTime",
        "iso": "ISO",
        "focal_length": "FocalLength",
        "focal_length_35mm": "FocalLengthIn35mmFormat",
        "direction": "GPSImgDirection",
        "altitude": "GPSAltitude",
    }
    assert {column: ours[column] for column in same} == {
        column: theirs[name] for column, name in same.items()
    }
    for column, name in (("latitude", "GPSLatitude"), ("longitude", "GPSLongitude")):
        assert ours[column] == pytest.approx(theirs[name], abs=1e-10)
    assert theirs["SubSecDateTimeOriginal"] == "2024:02:29 23:30:05.125-02:30"
    assert ours["taken_at"] == EXPECTED["taken_at"]


def test_exiftool_names_codes_the_same(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(
        encoded(Image.new("RGB", (16, 16)), "JPEG", exif=block(everything()), xmp=PACKET.encode())
    )
    (theirs,) = json.loads(run("exiftool", "-json", str(path)))
    ours = columns_of(path.read_bytes())
    words = {"aperture priority": "Aperture-priority AE", "pattern": "Multi-segment"}
    assert theirs["ExposureProgram"] == words[ours["exposure_program"]]
    assert theirs["MeteringMode"] == words[ours["metering"]]
    assert theirs["Flash"].startswith("Auto, Fired") == ours["flash_fired"]
    assert theirs["Title"] == ours["title"] == TEXTS["title"]
    assert theirs["Creator"] == ours["creator"] == TEXTS["creator"]


@pytest.mark.parametrize("grey", [True, False])
def test_imagemagick_measures_the_same(tmp_path: Path, grey: bool) -> None:
    """Six digits, as ImageMagick prints them."""
    image = Image.fromarray(pixels())
    if grey:
        image = image.convert("L")
    path = tmp_path / "image.png"
    image.save(path)
    ours: dict[str, Any] = {name: values[0] for name, values in measure(np.asarray(image)[None]).items()}
    channels = {"luminance": "r"} if grey else {"red": "r", "green": "g", "blue": "b"}
    for name, channel in channels.items():
        expression = " ".join(
            f"%[fx:{what}.{channel}]" for what in ("mean", "standard_deviation", "minima", "maxima")
        )
        theirs = [255 * float(value) for value in run("identify", "-format", expression, str(path)).split()]
        measured = [ours[f"{name}_{what}"] for what in ("mean", "std", "min", "max")]
        assert measured == pytest.approx(theirs, abs=0.02)
    size, depth = run("identify", "-format", "%wx%h %z", str(path)).split()
    assert (size, depth) == ("90x60", "8")
