"""Interceptors in processes of their own: the same comes out of them, whatever ends a process in the middle of it."""

import gc
import os
import resource
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from images import batch, context, encoded, gradient, grey, sample
from large_images import bmp_of_bytes, endless_jpeg
from PIL import Image

from flumen.interceptor import Batch, Context, Intercepted, Limits, intercept, load_chain
from flumen.interceptor.batch import ImageMessage, plain
from flumen.interceptor.errors import DecodeTooLarge, DecodeTooLong, InterceptorError
from flumen.models.errors import DecoderUnavailable
from flumen.models.processes import interception, kept_process
from flumen.models.processes.interception import InterceptionProcesses, usable_cores
from flumen.models.processes.interception_tasks import leading
from flumen.models.processes.pieces import share_out
from flumen.streams.live.interception import InProcesses
from flumen.streams.live.metrics import Metrics

NAMES = ("envelope", "decode", "statistics", "metadata")
MEGABYTES = 1024 * 1024
SHORT = Limits(max_decode_time_s=0.5)


def noise(width: int, height: int, image_format: str = "PNG") -> bytes:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), image_format)


DIGITS = [encoded(Image.fromarray(gradient() + np.uint8(number))) for number in range(10)]
PHOTO = noise(300, 220, "JPEG")


@pytest.fixture(scope="module")
def processes() -> Iterator[InterceptionProcesses]:
    with closing(InterceptionProcesses(2)) as processes:
        processes.start()
        yield processes


def run(
    processes: InterceptionProcesses, images: Batch, limits: Limits | None = None, names: Any = NAMES
) -> Intercepted:
    return processes.intercept(images, context(limits=limits), names)[0]


def assert_same(one: Intercepted, other: Intercepted) -> None:
    assert one.oks.images == other.oks.images
    assert all(mine is theirs for mine, theirs in zip(one.oks.images, other.oks.images, strict=True))
    assert one.oks.columns.keys() == other.oks.columns.keys()
    for name, values in one.oks.columns.items():
        assert plain(values) == plain(other.oks.columns[name]), name
    assert told(one) == told(other)


def told(step: Intercepted) -> list[tuple[str, str, str, str]]:
    """Sorted: of a piece, the rejects of each step stand together."""
    return sorted((each.image.id, each.stage, repr(each.error), str(each.error)) for each in step.errs)


def refused(step: Intercepted) -> list[tuple[str, str, type[Exception]]]:
    return [(reject.image.id, reject.stage, type(reject.error)) for reject in step.errs]


def of(*contents: bytes) -> Batch:
    """As they come from Kafka: with all that a message may have."""
    return Batch(
        [
            ImageMessage(
                f"image-{row}", content, 7 + row, "//camera", f"{row}.png", row % 10 or None, row, 3, row
            )
            for row, content in enumerate(contents)
        ]
    )


@pytest.mark.parametrize("count", [1, 4])
def test_the_same_comes_out_of_them_in_order(count: int) -> None:
    broken = [PHOTO[:-9_000], b"", b"no image", DIGITS[0][:-20], bytes(40_000)]
    images = of(*DIGITS * 40, *broken, *[PHOTO] * 12, sample("TIFF"), *broken, *DIGITS * 20)
    with closing(InterceptionProcesses(count)) as processes:
        processes.start()
        assert len(processes.pids) == count
        for _ in range(2):
            assert_same(run(processes, images), intercept(images, context(), load_chain(NAMES)))


def test_few_images_or_none(processes: InterceptionProcesses) -> None:
    several: Sequence[Sequence[bytes]] = ((), DIGITS[:1], (b"",), (PHOTO,))
    for contents in several:
        images = of(*contents)
        assert_same(run(processes, images), intercept(images, context(), load_chain(NAMES)))


def test_the_rest_of_the_chain_goes_on_with_it(processes: InterceptionProcesses) -> None:
    images = of(*DIGITS, PHOTO, b"", sample("WEBP"))
    begun = run(processes, images)
    step = intercept(begun.oks, context(), load_chain(("classify",)))
    assert_same(
        Intercepted(step.oks, [*begun.errs, *step.errs]),
        intercept(images, context(), load_chain((*NAMES, "classify"))),
    )


def test_every_step_says_what_it_took(processes: InterceptionProcesses) -> None:
    _, seconds = processes.intercept(of(*DIGITS * 30), context(), NAMES)
    assert set(seconds) == set(NAMES)
    assert all(taken > 0 for taken in seconds.values())
    metrics = Metrics()
    InProcesses(NAMES, processes, metrics).intercept(of(*DIGITS * 30), context())
    for name in NAMES:
        assert metrics.registry.get_sample_value("flumen_stage_seconds_count", {"stage": name}) == 1
        assert metrics.registry.get_sample_value("flumen_stage_seconds_sum", {"stage": name})


def test_an_image_that_takes_too_long_is_the_only_one_that_is_blamed(
    processes: InterceptionProcesses,
) -> None:
    contents = [*DIGITS * 3, PHOTO, endless_jpeg(4 * MEGABYTES), PHOTO, *DIGITS * 3]
    step = run(processes, of(*contents), SHORT)
    assert refused(step) == [("image-31", "decode", DecodeTooLong)]
    assert "more than 0.5 s, which is max_decode_time_s" in str(step.errs[0].error)
    assert [image.id for image in step.oks.images] == [f"image-{row}" for row in range(63) if row != 31]
    whole = intercept(of(*contents[:31], *contents[32:]), context(), load_chain(NAMES)).oks
    assert plain(step.oks.columns["sha256"]) == plain(whole.columns["sha256"])
    assert plain(step.oks.columns["pixels"]) == plain(whole.columns["pixels"])


def test_an_image_that_takes_too_much_memory_ends_nothing(processes: InterceptionProcesses) -> None:
    run(processes, of(DIGITS[0]))
    before = processes.pids
    large = encoded(Image.new("RGBA", (4096, 4096)))
    step = run(processes, of(PHOTO, large, PHOTO), Limits(max_decode_memory_bytes=40 * MEGABYTES))
    assert refused(step) == [("image-1", "decode", DecodeTooLarge)]
    assert processes.pids == before


@pytest.fixture
def dies_of(children_begin_with: Callable[[str], None]) -> Callable[[str, str], None]:
    """Let processes that start from now on end where they decode an image of that format."""

    def set_up(image_format: str, how: str) -> None:
        children_begin_with(
            "import os, signal, PIL.ImageFile\nload = PIL.ImageFile.ImageFile.load\n"
            f"def end(self):\n    if self.format == {image_format!r}: {how}\n    return load(self)\n"
            "PIL.ImageFile.ImageFile.load = end\n"
        )

    return set_up


@pytest.mark.parametrize("hostile", [noise(400, 300, "BMP"), sample("BMP")], ids=["large", "small"])
def test_an_image_that_ends_two_processes_is_the_only_one_that_is_blamed(
    dies_of: Callable[[str, str], None], hostile: bytes
) -> None:
    """A decoder of C code with a defect, as far as it can be told from outside."""
    dies_of("BMP", "os._exit(7)")
    restarts: list[int] = []
    with closing(InterceptionProcesses(1, on_restart=lambda: restarts.append(1))) as processes:
        step = run(processes, of(*DIGITS * 5, PHOTO, hostile, PHOTO, *DIGITS * 5))
    assert [(each.image.id, type(each.error).__name__) for each in step.errs] == [("image-51", "DecoderDied")]
    assert "twice ended the process that decodes it (exit code 7)" in str(step.errs[0].error)
    assert len(step.oks) == 102
    assert len(restarts) in (2, 4)


def test_what_a_process_sends_that_was_taken_over_is_not_run(children_answer_with_code: Path) -> None:
    told = pytest.raises(DecoderUnavailable, match="ended 4 times with the same images")
    with closing(InterceptionProcesses(1)) as processes, told:
        run(processes, of(*DIGITS))
    assert not children_answer_with_code.exists()


def test_what_no_image_is_to_blame_for_is_told(children_begin_with: Callable[[str], None]) -> None:
    children_begin_with("import os, hashlib\nhashlib.sha256 = lambda *_: os._exit(9)\n")
    told = pytest.raises(DecoderUnavailable, match=r"ended 4 times with the same images \(exit code 9\)")
    with closing(InterceptionProcesses(1)) as processes, told:
        run(processes, of(*DIGITS))


def test_a_process_that_is_killed_costs_nothing(wait_until: Callable[..., Any]) -> None:
    """In the middle of a batch, and between two."""
    slow = noise(900, 700)
    images = of(*DIGITS * 3, *[slow] * 12)
    expected = intercept(images, context(), load_chain(NAMES))
    steps: list[Intercepted] = []
    with closing(InterceptionProcesses(2)) as processes:
        run(processes, of(*[PHOTO] * 4))
        first = processes.pids
        os.kill(first[1], signal.SIGKILL)
        working = threading.Thread(target=lambda: steps.append(run(processes, images)))
        begun = psutil.Process(first[0]).cpu_times().user
        working.start()
        wait_until(lambda: psutil.Process(first[0]).cpu_times().user > begun, "a process to be busy")
        os.kill(first[0], signal.SIGKILL)
        working.join()
        assert not set(first) & set(processes.pids)
    assert_same(steps[0], expected)


@pytest.mark.parametrize("count", [1, 2])
def test_one_that_ends_while_it_starts_costs_nothing(
    count: int, children_begin_with: Callable[[str], None], tmp_path: Path
) -> None:
    children_begin_with(
        f"import os\ntry: os.mkdir({str(tmp_path / 'first')!r})\nexcept OSError: pass\nelse: os._exit(3)\n"
    )
    images = of(*DIGITS * 60)
    restarts: list[int] = []
    with closing(InterceptionProcesses(count, on_restart=lambda: restarts.append(1))) as processes:
        processes.start()
        assert_same(run(processes, images), intercept(images, context(), load_chain(NAMES)))
    assert len(restarts) <= 1


@pytest.mark.parametrize(
    ("python", "told"), [("/nowhere/python", "does not start"), ("/bin/false", r"\(exit code 1\)")]
)
def test_where_none_starts_that_is_told(python: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", python)
    with closing(InterceptionProcesses(2)) as processes, pytest.raises(DecoderUnavailable, match=told):
        run(processes, of(*DIGITS * 60))


def test_no_memory_for_what_is_shared_is_told(processes: InterceptionProcesses) -> None:
    large = of(bmp_of_bytes(4 * MEGABYTES))
    run(processes, large)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (MEGABYTES, before[1]))
        with pytest.raises(DecoderUnavailable, match="no memory left for what two processes share"):
            run(processes, large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(run(processes, large).oks) == 1


@pytest.mark.parametrize("noted", [-2, 10, 2**62])
def test_a_row_that_a_piece_does_not_have_blames_no_image(noted: int) -> None:
    work = share_out(of(*DIGITS), context(), NAMES, 1)
    piece = work.waiting.popleft()
    work.again(piece, -9, noted)
    assert list(work.waiting) == [piece]
    assert piece.ended == 1
    assert not work.request(piece)[0].refused


def test_one_that_hangs_is_ended(
    dies_of: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    dies_of("BMP", "signal.pause()")
    monkeypatch.setattr(kept_process, "TIMES_SILENT", 0.0)
    monkeypatch.setattr(kept_process, "SILENT_S", 2.0)
    with closing(InterceptionProcesses(1)) as processes:
        step = run(processes, of(DIGITS[0], noise(400, 300, "BMP"), DIGITS[1]))
    assert [str(each.error).partition("(exit")[2] for each in step.errs] == [
        " code -9); keep it for whoever maintains Pillow, and publish it in another format"
    ]
    assert len(step.oks) == 2


def test_close_ends_all_that_are_busy(wait_until: Callable[..., Any]) -> None:
    processes = InterceptionProcesses(2)
    outcome: list[Exception] = []

    def work() -> None:
        try:
            run(processes, of(*[endless_jpeg()] * 2), Limits(max_decode_time_s=600))
        except DecoderUnavailable as error:
            outcome.append(error)

    processes.start()
    pids = processes.pids
    working = threading.Thread(target=work)
    working.start()
    wait_until(
        lambda: all(place.process.started().exchange.noted() == 0 for place in processes._places),
        "both of them to be busy",
    )
    processes.close()
    working.join()
    assert "stopping" in str(outcome[0])
    assert not any(map(psutil.pid_exists, pids))
    with pytest.raises(DecoderUnavailable, match="stopping"):
        run(processes, of(*DIGITS))


def test_a_large_image_grows_what_is_shared_and_it_is_given_back(processes: InterceptionProcesses) -> None:
    large = bmp_of_bytes(16 * MEGABYTES)
    images = of(*DIGITS, large, *DIGITS)
    assert_same(run(processes, images), intercept(images, context(), load_chain(NAMES)))
    for place in processes._places:
        assert os.fstat(place.process.started().exchange.fd).st_size <= 2 * MEGABYTES


def test_pieces_are_bounded_and_for_all() -> None:
    """What is made of an image, too: 20,000 of few bytes for a model of many pixels."""
    made = context()
    for contents, processes, least, most in (
        (DIGITS[:1] * 500, 2, 2, 2),
        (DIGITS[:1] * 500, 16, 5, 8),
        (DIGITS[:1] * 20, 4, 1, 1),
        ([bytes(65_000)] * 500, 2, 40, 50),
        ([bytes(65_000)] * 4, 4, 4, 4),
        ([bytes(16 * MEGABYTES)] * 3, 2, 3, 3),
    ):
        pieces = [piece.rows for piece in share_out(batch(*contents), made, NAMES, processes).waiting]
        assert least <= len(pieces) <= most, (len(contents), processes, len(pieces))
        assert [row for rows in pieces for row in rows] == list(range(len(contents)))
        assert all(len(rows) == 1 or len(rows) * len(contents[0]) < MEGABYTES for rows in pieces)


def test_a_setting_that_is_wrong_is_told(processes: InterceptionProcesses) -> None:
    with pytest.raises(InterceptorError, match="image_formats holds NONE"):
        run(processes, of(*DIGITS), Limits(formats=frozenset({"NONE"})))
    assert len(run(processes, of(*DIGITS)).oks) == 10


def test_what_is_told_holds_nothing_once_it_is_forgotten(processes: InterceptionProcesses) -> None:
    gc.disable()
    try:
        with pytest.raises(InterceptorError) as told:
            run(processes, of(*DIGITS), Limits(formats=frozenset({"NONE"})))
        left = weakref.ref(told.value)
        del told
        assert left() is None
    finally:
        gc.enable()


class Own:
    """Somebody's interceptor."""

    columns = ()

    def intercept(self, images: Batch, context: Context) -> Intercepted:
        return Intercepted(images, ())


@pytest.mark.parametrize(
    ("chain", "elsewhere"),
    [
        ([*NAMES, "classify"], NAMES),
        ([*NAMES, Own(), "classify"], NAMES),
        (["envelope", "decode", "classify"], ("envelope", "decode")),
        (["decode", "statistics", Own(), "metadata", "classify"], ()),
        (["envelope", "decode", Own(), "classify"], ()),
        ([Own(), *NAMES, "classify"], ()),
        (["envelope", "classify"], ()),
    ],
)
def test_a_chain_is_split_where_somebody_elses_begins(chain: Sequence[Any], elsewhere: Sequence[str]) -> None:
    steps = [load_chain([each])[0] if isinstance(each, str) else each for each in chain]
    assert leading(steps) == elsewhere


def test_they_know_no_more_than_they_need(processes: InterceptionProcesses) -> None:
    """Each library is memory, and something that hostile bytes could use."""
    run(processes, of(DIGITS[0], grey(1)))
    for pid in processes.pids:
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert "numpy" in maps
        for library in ("onnxruntime", "jpype", "librdkafka", "confluent_kafka", "pydantic", "uvloop"):
            assert library not in maps
        assert len(psutil.Process(pid).threads()) == 1


def test_there_is_always_a_core() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("quotas", "cores"),
    [
        ({}, 64),
        ({"": "max 100000"}, 64),
        ({"": "150000 100000"}, 2),
        ({"system.slice/flumen.service": "200000 100000", "system.slice": "max 100000"}, 2),
        ({"system.slice/flumen.service": "max 100000", "system.slice": "400000 100000"}, 4),
        ({"system.slice/flumen.service": "10000 100000"}, 1),
        ({"system.slice/another.service": "200000 100000"}, 64),
    ],
)
def test_the_least_quota_of_its_control_groups_counts(
    quotas: dict[str, str], cores: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for group, quota in quotas.items():
        (tmp_path / "groups" / group).mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / group / "cpu.max").write_text(f"{quota}\n")
    (tmp_path / "own").write_text("0::/system.slice/flumen.service\n")
    monkeypatch.setattr(interception, "_CONTROL_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(interception, "_OWN_CONTROL_GROUP", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64))
    assert usable_cores() == cores


def test_signals_to_the_group_end_none_that_starts() -> None:
    with closing(InterceptionProcesses(2)) as processes:
        processes.start()
        for pid in processes.pids:
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
        before = processes.pids
        assert len(run(processes, of(*DIGITS * 60)).oks) == 600
        assert processes.pids == before
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGINT, signal.SIGTERM}


def test_the_kernel_ends_them_first(processes: InterceptionProcesses) -> None:
    for pid in processes.pids:
        assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "1000\n"


def test_a_worker_that_measures_images_itself_has_what_it_needs_before_the_first() -> None:
    """Then there may be no file left to open."""
    program = (
        "import sys\n"
        "from flumen.interceptor import load_chain\n"
        "from flumen.streams.live.health import Pulse\n"
        "from flumen.streams.live.interception import start_interception\n"
        "from flumen.streams.live.metrics import Metrics\n"
        "from flumen.streams.settings import load_settings\n"
        "settings = load_settings(interceptors=('classify', 'statistics'))\n"
        "interception = start_interception(settings, load_chain(settings.interceptors), Metrics(), Pulse(60))\n"
        "print('scipy.sparse.csgraph' in sys.modules)\n"
        "interception.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout == "True\n"
