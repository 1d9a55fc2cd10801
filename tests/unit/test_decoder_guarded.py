"""Decoding beside the worker: what goes to the helper, what it may take, and what becomes of it when it dies."""

import io
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from images import FORMATS, batch, context, encoded, gradient, png_of_header, sample, with_size
from large_images import endless_jpeg, tiff, tiff_of_a_tile, tiff_of_artists, tiff_of_datasets, tiff_of_pages
from PIL import Image, ImageFile

from flumen.interceptor import Limits, Preprocess, intercept, load_chain
from flumen.interceptor.batch import plain
from flumen.interceptor.decode import Decode
from flumen.interceptor.decoding import Decoded, decode_image
from flumen.interceptor.errors import (
    BrokenImage,
    DecoderDied,
    DecodeTooLarge,
    DecodeTooLong,
    ImageTooManyPixels,
    NotAnImage,
)
from flumen.interceptor.small import SMALL_BYTES, SMALL_PIXELS
from flumen.models.errors import DecoderUnavailable
from flumen.models.processes import kept_process
from flumen.models.processes.decoder import GuardedDecoder

COLOUR = Preprocess(width=32, height=24, channels=3)


def assert_same(one: Decoded, other: Decoded) -> None:
    """An array within keeps dataclasses from being compared as a whole; only the helper measures."""
    ours, theirs = (replace(decoded, view=None, statistics=None) for decoded in (one, other))  # type: ignore[arg-type]
    assert ours == theirs
    assert np.array_equal(one.view, other.view)


@pytest.fixture
def decoder() -> Iterator[GuardedDecoder]:
    with closing(GuardedDecoder()) as decoder:
        yield decoder


@pytest.fixture(scope="module")
def at_the_helper() -> list[int]:
    """One for each image that the helper of `lasting` was busy with."""
    return []


@pytest.fixture(scope="module")
def lasting(at_the_helper: list[int]) -> Iterator[GuardedDecoder]:
    """One for the tests that end no helper."""
    with closing(GuardedDecoder(lambda: at_the_helper.append(1))) as decoder:
        yield decoder


def noise(width: int, height: int, image_format: str = "PNG") -> bytes:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), image_format)


def test_small_images_stay_here(decoder: GuardedDecoder) -> None:
    small = [sample(name) for name in FORMATS if name not in ("AVIF", "TIFF")]
    for content in (*small, encoded(Image.fromarray(gradient()))):
        assert_same(decoder(content, Limits(), COLOUR), decode_image(content, Limits(), COLOUR))
    assert decoder.helper_pid is None


@pytest.mark.parametrize("image_format", FORMATS)
def test_the_helper_sees_what_would_be_seen_here(
    lasting: GuardedDecoder, at_the_helper: list[int], image_format: str
) -> None:
    before = len(at_the_helper)
    for content in (noise(300, 220, image_format), noise(400, 300, image_format)):
        assert_same(lasting(content, Limits(), COLOUR), decode_image(content, Limits(), COLOUR))
    assert len(at_the_helper) == before + 2


def test_either_many_bytes_or_many_pixels_go_to_the_helper(decoder: GuardedDecoder) -> None:
    flat = encoded(Image.new("L", (SMALL_PIXELS // 256, 257)))
    assert len(flat) < SMALL_BYTES
    decoder(flat, Limits(), COLOUR)
    first = decoder.helper_pid
    assert first is not None
    padded = encoded(Image.new("L", (8, 8))) + bytes(SMALL_BYTES)
    decoder(padded, Limits(), COLOUR)
    assert decoder.helper_pid == first, "one helper serves them all"


MEGABYTES = 1024 * 1024


@pytest.mark.parametrize(
    ("content", "metadata"),
    [
        (tiff_of_pages(800), {"frames": 800}),
        (tiff_of_datasets(3_000_000), {"metadata_errors": ["IPTC: it has more than 4,096 datasets"]}),
        (tiff_of_artists(15 * MEGABYTES), {}),
        (tiff_of_a_tile(46_000), "tiles of 46,000 x 46,000 pixels and max_image_pixels is 64,000,000"),
        (tiff_of_a_tile(7_900), None),
    ],
    ids=["pages", "datasets", "artists", "tile", "a tile within the limit"],
)
def test_what_once_took_a_worker_takes_little_of_the_helper_and_nothing_here(
    decoder: GuardedDecoder, content: bytes, metadata: dict[str, Any] | str | None
) -> None:
    decoder(noise(300, 300), Limits(), COLOUR)
    here, there = psutil.Process(), psutil.Process(decoder.helper_pid)
    before = here.memory_info().rss
    limits = Limits(max_decode_time_s=2)
    if isinstance(metadata, dict):
        assert decoder(content, limits, COLOUR).metadata.items() >= metadata.items()
    else:
        with pytest.raises(BrokenImage if metadata is None else ImageTooManyPixels, match=metadata):
            decoder(content, limits, COLOUR)
    assert decoder.helper_pid == there.pid, "it was not cut off"
    assert here.memory_info().rss - before < 64 * MEGABYTES
    peak = Path(f"/proc/{there.pid}/status").read_text().partition("VmHWM:")[2].split()[0]
    assert int(peak) * 1024 < 300 * MEGABYTES


def test_the_helper_says_nothing_of_its_own(
    decoder: GuardedDecoder, capfd: pytest.CaptureFixture[str]
) -> None:
    """Pillow has a warning for each of hundreds of entries that lead outside."""
    entries = [(30_000 + tag, 2, 60_000, 0) for tag in range(500)]
    decoder(tiff(entries), Limits(), COLOUR)
    assert "Warning" not in "".join(capfd.readouterr())


def test_the_helper_measures_what_it_decodes(lasting: GuardedDecoder) -> None:
    contents = [
        noise(300, 220),
        noise(600, 400, "JPEG"),
        encoded(Image.new("L", (600, 600), 7)),
        sample("PNG"),
    ]
    chain = load_chain(("decode", "statistics", "metadata", "classify"))
    here = intercept(batch(*contents), context(), chain).oks.columns
    there = intercept(batch(*contents), replace(context(), decoder=lasting), chain).oks.columns
    assert here.keys() == there.keys()
    for name, values in here.items():
        assert plain(values) == plain(there[name]), name


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"no image at all" * 4000, NotAnImage),
        (noise(400, 300)[:-50_000], BrokenImage),
        (with_size("PNG", 100_000, 100_000), ImageTooManyPixels),
        (with_size("PNG", 100_000, 100_000) + bytes(SMALL_BYTES), ImageTooManyPixels),
    ],
)
def test_a_refusal_says_the_same_from_the_helper(
    lasting: GuardedDecoder, content: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error) as here:
        decode_image(content, Limits(), COLOUR)
    with pytest.raises(error) as there:
        lasting(content, Limits(), COLOUR)
    assert str(there.value) == str(here.value)


def test_what_takes_too_long_is_cut_off_and_the_next_image_is_decoded(decoder: GuardedDecoder) -> None:
    limits = Limits(max_decode_time_s=0.2)
    with pytest.raises(DecodeTooLong, match=r"more than 0\.2 s, which is max_decode_time_s; publish"):
        decoder(endless_jpeg(), limits, COLOUR)
    content = noise(400, 300)
    assert_same(decoder(content, Limits(), COLOUR), decode_image(content, Limits(), COLOUR))


def test_the_limit_is_each_images_own(decoder: GuardedDecoder) -> None:
    """Together these take longer than one may."""
    content = noise(700, 700)
    used, limit = 0.0, 0.25
    while used < 2 * limit:
        decoder(content, Limits(max_decode_time_s=limit), COLOUR)
        assert decoder.helper_pid is not None
        times = psutil.Process(decoder.helper_pid).cpu_times()
        used = times.user + times.system


def test_memory_is_bounded(lasting: GuardedDecoder) -> None:
    """4,096 x 4,096 pixels of RGBA take 64 MiB, whatever the machine has."""
    content = png_of_header(4096, 4096, bytes((1 + 4 * 4096) * 4096), colour_type=6)
    lasting(content, Limits(max_decode_memory_bytes=128 * 1024 * 1024), COLOUR)
    first = lasting.helper_pid
    with pytest.raises(DecodeTooLarge, match="more memory than max_decode_memory_bytes; publish a smaller"):
        lasting(content, Limits(max_decode_memory_bytes=40 * 1024 * 1024), COLOUR)
    lasting(content, Limits(max_decode_memory_bytes=128 * 1024 * 1024), COLOUR)
    assert lasting.helper_pid == first, "it goes on with the next image"


def test_what_a_webp_takes_is_foreseen() -> None:
    with pytest.raises(
        DecodeTooLarge, match="takes 960,000,000 bytes and max_decode_memory_bytes is 671,088,640"
    ):
        decode_image(with_size("WEBP", 10_000, 6_000), Limits(), COLOUR)


def test_a_helper_that_is_ended_by_another_is_no_fault_of_the_image(decoder: GuardedDecoder) -> None:
    content = noise(400, 300)
    decoder(content, Limits(), COLOUR)
    first = decoder.helper_pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert_same(decoder(content, Limits(), COLOUR), decode_image(content, Limits(), COLOUR))
    assert decoder.helper_pid != first


def test_an_image_that_ends_two_helpers_is_refused(
    decoder: GuardedDecoder, children_begin_with: Callable[[str], None]
) -> None:
    """A decoder of C code with a defect, as far as it can be told from outside."""
    children_begin_with("import os, PIL.ImageFile\nPIL.ImageFile.ImageFile.load = lambda self: os._exit(7)\n")
    with pytest.raises(DecoderDied, match=r"twice ended the process that decodes it \(exit code 7\)"):
        decoder(noise(400, 300, "BMP"), Limits(), COLOUR)


def test_no_memory_for_what_is_shared_is_no_fault_of_the_image(decoder: GuardedDecoder) -> None:
    content = noise(400, 300)
    decoder(content, Limits(), COLOUR)
    pid = decoder.helper_pid
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (128 * 1024, before[1]))
        with pytest.raises(DecoderUnavailable, match="no memory left for what two processes share"):
            decoder(content, Limits(), COLOUR)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert decoder.helper_pid == pid
    assert_same(decoder(content, Limits(), COLOUR), decode_image(content, Limits(), COLOUR))


def test_close_in_the_second_attempt_is_no_fault_of_the_image(
    children_begin_with: Callable[[str], None], tmp_path: Path, wait_until: Callable[..., Any]
) -> None:
    children_begin_with(
        "import os, signal, PIL.ImageFile\ndef end(self):\n"
        f"    try: os.mkdir({str(tmp_path / 'first')!r})\n    except OSError: signal.pause()\n    os._exit(7)\n"
        "PIL.ImageFile.ImageFile.load = end\n"
    )
    decoder = GuardedDecoder()
    outcome: list[Exception] = []

    def decode() -> None:
        try:
            decoder(noise(400, 300, "BMP"), Limits(), COLOUR)
        except (DecoderUnavailable, DecoderDied) as error:
            outcome.append(error)

    def is_in_second() -> bool:
        current = decoder._process.current
        return (tmp_path / "first").exists() and current is not None and current.exchange.noted() == 0

    thread = threading.Thread(target=decode)
    thread.start()
    first = wait_until(lambda: decoder.helper_pid, "the first process")
    wait_until(lambda: decoder.helper_pid not in (None, first) and is_in_second(), "the second attempt")
    decoder.close()
    thread.join()
    assert "stopping" in str(outcome[0])


def test_a_helper_that_hangs_is_ended(decoder: GuardedDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_process, "TIMES_SILENT", 0.0)
    monkeypatch.setattr(kept_process, "SILENT_S", 1.0)
    with pytest.raises(DecoderDied, match="exit code -9"):
        decoder(endless_jpeg(), Limits(max_decode_time_s=600), COLOUR)
    assert decoder.helper_pid is None


def test_a_helper_that_does_not_start_says_so(
    decoder: GuardedDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(DecoderUnavailable, match="does not start"):
        decoder(noise(400, 300), Limits(), COLOUR)
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(DecoderUnavailable, match=r"ended while it started \(exit code 1\)"):
        decoder(noise(400, 300), Limits(), COLOUR)


def test_close_ends_a_busy_helper(decoder: GuardedDecoder, wait_until: Callable[..., Any]) -> None:
    outcome: list[DecoderUnavailable] = []

    def decode() -> None:
        try:
            decoder(endless_jpeg(), Limits(max_decode_time_s=600), COLOUR)
        except DecoderUnavailable as error:
            outcome.append(error)

    thread = threading.Thread(target=decode)
    thread.start()
    pid = wait_until(lambda: decoder.helper_pid, "the helper to start")
    helper = psutil.Process(pid)
    wait_until(lambda: helper.cpu_times().user > 1, "the helper to be busy")
    decoder.close()
    thread.join()
    assert "stopping" in str(outcome[0])
    assert not psutil.pid_exists(pid)


def test_the_helper_outlives_signals_to_the_group_and_not_its_worker(
    decoder: GuardedDecoder, wait_until: Callable[..., Any]
) -> None:
    content = noise(400, 300)
    expected = decoder(content, Limits(), COLOUR)
    pid = decoder.helper_pid
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    assert_same(decoder(content, Limits(), COLOUR), expected)
    assert decoder.helper_pid == pid
    process = decoder._process.started()
    process.child.connection.close()  # what the kernel does where a worker is killed
    assert process.child.process.wait(120) == 0


def test_progress_is_told_of_every_image_the_helper_was_busy_with() -> None:
    told: list[int] = []
    with closing(GuardedDecoder(lambda: told.append(1))) as decoder:
        decoder(sample("PNG"), Limits(), COLOUR)
        assert len(told) == 0
        decoder(noise(400, 300), Limits(), COLOUR)
        with pytest.raises(BrokenImage):
            decoder(noise(400, 300)[:-50_000], Limits(), COLOUR)
        assert len(told) == 2


def test_a_batch_mixes_both_ways(lasting: GuardedDecoder) -> None:
    contents = [sample("PNG"), noise(400, 300), noise(400, 300)[:-50_000], sample("JPEG")]
    here = Decode().intercept(batch(*contents), context())
    there = Decode().intercept(batch(*contents), replace(context(), decoder=lasting))
    assert [str(reject.error) for reject in there.errs] == [str(reject.error) for reject in here.errs]
    assert np.array_equal(there.oks.columns["pixels"], here.oks.columns["pixels"])
    assert there.oks.columns["format"] == ["PNG", "PNG", "JPEG"]


def test_truncated_images_are_never_completed() -> None:
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    whole = io.BytesIO(noise(64, 64)).getvalue()
    with pytest.raises(BrokenImage):
        decode_image(whole[:-500], Limits(), COLOUR)
