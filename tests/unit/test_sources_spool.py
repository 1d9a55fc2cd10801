"""A folder that is watched: what is ready, once, whatever happens meanwhile; time is a number here."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from clocks import Clock

from flumen.streams.errors import SourceUnreadable
from flumen.streams.publishing.sources.spool import RECORD, UNFINISHED, Spool


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def spool(folder: Path, clock: Clock) -> Iterator[Spool]:
    with Spool(folder, 2.0, clock) as spool:
        yield spool


def refuse(error: SourceUnreadable) -> None:
    raise AssertionError(error)


def ready(spool: Spool) -> list[str]:
    return [file.id for file in spool.ready(refuse)]


def publish_all(spool: Spool) -> list[str]:
    files = spool.ready(refuse)
    spool.published(files)
    return [file.id for file in files]


def test_a_file_is_ready_when_it_has_not_changed_for_a_while(
    spool: Spool, folder: Path, clock: Clock
) -> None:
    (folder / "a.png").write_bytes(b"begun")
    assert ready(spool) == []
    clock.now += 1.9
    assert ready(spool) == []
    (folder / "a.png").write_bytes(b"begun, and going on")
    clock.now += 0.2
    assert ready(spool) == [], "it has grown"
    clock.now += 1.9
    assert ready(spool) == []
    clock.now += 0.2
    assert ready(spool) == ["in/a.png"]


def test_a_change_that_keeps_the_size_is_a_change(spool: Spool, folder: Path, clock: Clock) -> None:
    (folder / "a.png").write_bytes(b"header still zero")
    assert ready(spool) == []
    clock.now += 1.9
    (folder / "a.png").write_bytes(b"HEADER STILL ZERO")
    os.utime(folder / "a.png", ns=(1, 1))
    assert ready(spool) == []
    clock.now += 1.9
    assert ready(spool) == []


def test_what_is_published_is_never_ready_again(spool: Spool, folder: Path, clock: Clock) -> None:
    for name in ("a.png", "sub/b.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    ready(spool)
    clock.now += 2
    assert publish_all(spool) == ["in/a.png", "in/sub/b.png"]
    clock.now += 100
    assert ready(spool) == []
    (folder / "c.png").write_bytes(b"x")
    ready(spool)
    clock.now += 2
    assert publish_all(spool) == ["in/c.png"]


def test_it_is_remembered_over_a_restart_wherever_the_folder_is(
    folder: Path, clock: Clock, tmp_path: Path
) -> None:
    names = ["plain.png", "with space ✓.png", os.fsdecode(b"not utf-8 \xff.png")]
    for name in names:
        (folder / name).write_bytes(b"x")
    with Spool(folder, 0, clock) as spool:
        assert len(publish_all(spool)) == len(names)
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    (moved / "new.png").write_bytes(b"x")
    with Spool(moved, 0, clock) as spool:
        assert publish_all(spool) == ["elsewhere/new.png"]


def test_what_was_not_acknowledged_is_ready_again_after_a_restart(folder: Path, clock: Clock) -> None:
    (folder / "a.png").write_bytes(b"x")
    with Spool(folder, 0, clock) as spool:
        assert ready(spool) == ["in/a.png"]
    with Spool(folder, 0, clock) as spool:
        assert ready(spool) == ["in/a.png"]


def test_a_file_that_changes_is_published_again(spool: Spool, folder: Path, clock: Clock) -> None:
    """As one that was taken too early, because its writer paused: what is complete then replaces it."""
    (folder / "a.png").write_bytes(b"half")
    ready(spool)
    clock.now += 2
    assert publish_all(spool) == ["in/a.png"]
    (folder / "a.png").write_bytes(b"half and half")
    assert ready(spool) == []
    clock.now += 2
    assert publish_all(spool) == ["in/a.png"]


def test_a_change_while_it_is_read_is_seen_afterwards(spool: Spool, folder: Path, clock: Clock) -> None:
    (folder / "a.png").write_bytes(b"half")
    ready(spool)
    clock.now += 2
    files = spool.ready(refuse)
    (folder / "a.png").write_bytes(b"half and half")
    spool.published(files)
    assert ready(spool) == []
    clock.now += 2
    assert ready(spool) == ["in/a.png"]


def test_what_is_refused_is_left_alone_until_it_changes(folder: Path, clock: Clock) -> None:
    (folder / "huge.png").write_bytes(b"x" * 100)
    with Spool(folder, 0, clock) as spool:
        (file,) = spool.ready(refuse)
        spool.refused(file)
        assert ready(spool) == []
        (folder / "huge.png").write_bytes(b"smaller")
        assert ready(spool) == ["in/huge.png"]
    with Spool(folder, 0, clock) as spool:
        assert ready(spool) == ["in/huge.png"], "the limit may be another one now"


def test_unfinished_and_hidden_files_and_the_record_are_left_out(folder: Path, clock: Clock) -> None:
    for ending in UNFINISHED:
        (folder / f"a.png{ending}").write_bytes(b"x")
    (folder / "A.PNG.PART").write_bytes(b"x")
    (folder / ".a.png.X7f3").write_bytes(b"as rsync writes")
    with Spool(folder, 0, clock) as spool:
        assert ready(spool) == []
        assert (folder / RECORD).exists()
        (folder / "a.png.part").rename(folder / "a.png")
        assert ready(spool) == ["in/a.png"]


def test_a_file_that_goes_is_no_matter(spool: Spool, folder: Path, clock: Clock) -> None:
    (folder / "a.png").write_bytes(b"x")
    assert ready(spool) == []
    (folder / "a.png").unlink()
    clock.now += 2
    assert ready(spool) == []


def test_a_link_is_told_and_published_by_nobody(spool: Spool, folder: Path, clock: Clock) -> None:
    (folder / "environ.png").symlink_to("/proc/self/environ")
    (folder / "gone.png").symlink_to("nowhere")
    for _ in range(2):
        told: list[SourceUnreadable] = []
        assert spool.ready(told.append) == []
        assert [str(error).split(" was left out: ")[0] for error in told] == [
            f"'{folder}/environ.png'",
            f"'{folder}/gone.png'",
        ]
        clock.now += 2


def test_a_record_that_is_a_link_is_not_written_through(folder: Path, tmp_path: Path, clock: Clock) -> None:
    (folder / RECORD).symlink_to(tmp_path / "elsewhere.sqlite")
    with pytest.raises(SourceUnreadable, match="is a link, and would be written through it; remove it"):
        Spool(folder, 2.0, clock)
    assert not (tmp_path / "elsewhere.sqlite").exists()


def test_two_processes_do_not_watch_one_folder(spool: Spool, folder: Path, clock: Clock) -> None:
    with pytest.raises(SourceUnreadable, match=r"another process watches .* end it first"):
        Spool(folder, 2.0, clock)
    spool.close()
    Spool(folder, 2.0, clock).close()


def test_a_folder_that_is_not_there(tmp_path: Path, folder: Path, clock: Clock) -> None:
    with pytest.raises(SourceUnreadable, match="is no folder"):
        Spool(tmp_path / "nowhere", 2.0, clock)
    with Spool(folder, 2.0, clock) as spool:
        folder.rename(tmp_path / "unmounted")
        with pytest.raises(SourceUnreadable, match="is not there"):
            spool.ready(refuse)


def test_a_damaged_record_says_what_to_do(folder: Path, clock: Clock) -> None:
    (folder / RECORD).write_bytes(b"no database at all" * 100)
    with pytest.raises(SourceUnreadable, match="remove it: everything in the folder is then published again"):
        Spool(folder, 2.0, clock)
