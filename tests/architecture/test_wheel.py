"""flumen as others install it: one import name, beside projects that have folders of the names that it has itself."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import flumen

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(link.name for link in (ROOT / "flumen").iterdir() if link.is_symlink())
OWN = ("models", "stack", "cli", "streams")

TEST_OF_THEIRS = """
import flumen
import models, stack, cli, streams
from flumen import Pipeline, SourceImage
from flumen.models.repository import Repository


def test_ours_is_ours_and_theirs_is_theirs(flumen_models_root, pytestconfig):
    assert pytestconfig.pluginmanager.hasplugin("flumen_stack")
    assert {module.OWNER for module in (models, stack, cli, streams)} == {"us"}
    assert (flumen_models_root / "mnist").is_dir()


def test_an_interceptor_of_our_own():
    with Pipeline(interceptors=("envelope", "ink")) as pipeline:
        assert pipeline.send(b"three", key="a").row["ink"] == 5
"""

INTERCEPTOR = """
from flumen.interceptor import Column, Intercepted, Kind


class Ink:
    columns = (Column("ink", Kind.INT32, "bytes"),)

    def intercept(self, batch, context):
        return Intercepted(batch.with_columns(ink=[len(image.content) for image in batch.images]), ())
"""

INTERCEPTOR_PROJECT = """
[project]
name = "flumen-ink"
version = "1.0"

[project.entry-points."flumen.interceptors"]
ink = "flumen_ink:Ink"

[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[tool.setuptools]
py-modules = ["flumen_ink"]
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a build leaves folders behind."""
    folder = tmp_path_factory.mktemp("build")
    for name in ("flumen", *PACKAGES):
        shutil.copytree(
            ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist", "."]
    subprocess.run([sys.executable, *build], check=True, cwd=folder)
    [built] = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel and an interceptor in it, and with the libraries of this one."""
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    program = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(program), "install", "--no-deps"]
    ink = folder / "flumen-ink"
    ink.mkdir()
    (ink / "flumen_ink.py").write_text(INTERCEPTOR)
    (ink / "pyproject.toml").write_text(INTERCEPTOR_PROJECT)
    site = Path(
        subprocess.check_output(
            [program, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        ).strip()
    )
    # A line of a .pth file is a path whose own .pth files, such as that of an editable flumen, are not read.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    subprocess.run([*pip, "--no-index", str(wheel)], check=True)
    subprocess.run([*pip, "--no-index", "--no-build-isolation", str(ink)], check=True)
    return program


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in OWN:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text('OWNER = "us"\n')
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_theirs.py").write_text(TEST_OF_THEIRS)
    return tmp_path


def run(program: Path, project: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        [program, *arguments], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_nothing_but_flumen_is_installed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {
        "flumen",
        wheel.name.rsplit("-", 3)[0] + ".dist-info",
    }


def test_every_file_of_a_package_is_in_the_wheel(wheel: Path) -> None:
    tracked = {
        f"flumen/{path.relative_to(ROOT)}"
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert tracked <= set(zipfile.ZipFile(wheel).namelist())


def test_a_project_with_folders_of_the_same_names(python: Path, project: Path) -> None:
    said = run(python, project, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert "2 passed" in said


def test_the_command_runs_there(python: Path, project: Path) -> None:
    flumen_command = str(python.with_name("flumen"))
    assert "classif" in run(Path(flumen_command), project, "--help")
    assert "mnist" in run(python, project, "-m", "flumen", "models", "list", "--json")


def test_it_is_the_wheel_that_is_tried(python: Path, project: Path) -> None:
    where = run(python, project, "-c", "import flumen.streams.wire as wire; print(wire.__file__)")
    assert Path(where.strip()).is_relative_to(python.parent.parent)


@pytest.mark.parametrize("name", flumen.__all__)
def test_the_public_face(name: str) -> None:
    assert getattr(flumen, name).__name__ == name
    assert name in dir(flumen)


def test_the_public_face_has_no_other_name() -> None:
    with pytest.raises(AttributeError, match="'flumen' has no attribute 'Nothing'"):
        flumen.Nothing  # noqa: B018


def test_importing_flumen_imports_nothing_else() -> None:
    program = (
        "import sys; before = set(sys.modules); import flumen; print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert not [name for name in loaded if re.match(r"flumen\.|numpy|confluent|faust|pyarrow", name)]
