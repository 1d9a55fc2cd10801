"""What a machine does to all at once: a disk that is full, a clock that jumps. Only in the long form."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_scene import Scene
from fault_servers import CONFIGSET, Servers, last

from flumen.stack.local import down, up

IMAGES = 20_000
SMALL_BATCHES = {"max_batch_size": 50}
DISK_MIB = 3072
FULL_S = 20.0
NOTICED_S = 1
FAKETIME = [
    Path(lib) / "faketime" / "libfaketimeMT.so.1" for lib in ("/usr/lib/x86_64-linux-gnu", "/usr/lib64")
]

pytestmark = pytest.mark.long_form


@pytest.fixture(scope="module")
def small_disk() -> Iterator[Servers | None]:
    """Servers whose data lies on a disk of its own, in memory; None where none may be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="flumen-full-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        folder.rmdir()
        yield None
        return
    try:
        up(folder / "home", CONFIGSET)
        yield Servers(folder / "home")
    finally:
        down(folder / "home", purge=True)
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


@pytest.fixture
def on_small_disk(scene: Scene, small_disk: Servers | None) -> Scene:
    """The scene, with its servers on the small disk."""
    if small_disk is None:
        scene.impossible("no file system may be mounted")
    scene.move_to(up(small_disk.home, CONFIGSET))
    return scene


def test_disk_full(on_small_disk: Scene, small_disk: Servers) -> None:
    """The disk of all servers is filled to its last byte for 20 s, then freed. Servers that died are started, and Solr
    is started again: it closes an index for good when it cannot write."""
    scene = on_small_disk
    scene.publish(IMAGES, poison_every=50)
    worker = scene.start(**SMALL_BATCHES)
    scene.wait_for(1, worker)
    filler = small_disk.home.parent / "filler"
    fill(filler)
    last(FULL_S)
    filler.unlink()
    small_disk.kill("solr")
    small_disk.start_missing()
    scene.recover(scene.acknowledged(), worker)
    scene.finish(worker)


@pytest.fixture
def clock(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that says how far off the wall clock of the workers is, such as `+1h`."""
    library = next((path for path in FAKETIME if path.exists()), None)
    if library is None:
        scene.impossible("there is no libfaketime; Debian has it in the package `faketime`")
    offset = tmp_path / "clock"
    offset.write_text("+0")
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(offset))
    # Looking at the file each time somebody asks for the time makes a worker a hundred times slower.
    monkeypatch.setenv("FAKETIME_CACHE_DURATION", str(NOTICED_S))
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")  # nor does a machine's clock that is set
    # Else libfaketime takes this glibc for one with a fault, and every timed wait of the JVM's ends at once.
    monkeypatch.setenv("FAKETIME_FORCE_MONOTONIC_FIX", "0")
    return offset


def test_clock_that_jumps(scene: Scene, clock: Path) -> None:
    """The worker's wall clock (by libfaketime) jumps an hour ahead, two hours back, and to the right time again; then
    an hour back while there are no images, and once more before the worker is stopped."""
    scene.publish(IMAGES, poison_every=50)
    worker = scene.start(**SMALL_BATCHES)
    scene.wait_for(1, worker)
    for hours in (1, -1, 0):
        before = scene.expect_unfinished()
        clock.write_text(f"{hours:+}h")
        last(2 * NOTICED_S)
        assert time_of_a_process() - time.time() == pytest.approx(3600 * hours, abs=600)
        scene.recover(before, worker)
    for hours in (-1, -2):  # back, while the worker waits for images, and for nothing but its stop
        scene.wait_for(len(scene.published), worker)
        clock.write_text(f"{hours:+}h")
        last(2 * NOTICED_S)
        if hours == -1:
            scene.publish(IMAGES // 10)
    scene.finish(worker)


def time_of_a_process() -> float:
    """The wall clock, seconds since 1970, of a process that is started as the workers are."""
    command = [sys.executable, "-c", "import time; print(time.time())"]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def fill(filler: Path) -> None:
    """Write until nothing more fits."""
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(65_536)):
                pass
        except OSError:
            return
