"""A console in a process of its own, with tokens of an operator and a viewer, and how tests ask it."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from flumen.cli.background import environment_of
from flumen.console.access import Person, Role, TokenFile
from flumen.streams.settings import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Page


@dataclass(frozen=True, slots=True)
class ConsoleProcess:
    """Where it is, and the tokens by role."""

    address: str
    tokens: dict[str, str]

    def ask(self, role: str, path: str, method: str = "GET", **more: Any) -> requests.Response:
        """Ask as a program that shows a token."""
        headers = {"Authorization": f"Bearer {self.tokens[role]}"}
        return requests.request(
            method, self.address + path, headers=headers, timeout=60, allow_redirects=False, **more
        )

    def opened(self, open_page: Callable[..., "Page"], role: str, path: str, **look: Any) -> "Page":
        """Sign somebody in, in a window of their own, and open a page."""
        page = open_page(f"{self.address}/", **look)
        page.get_by_label("Your token").fill(self.tokens[role])
        page.get_by_role("button", name="Sign in").click()
        page.goto(self.address + path)
        return page


@contextmanager
def running_console(settings: Settings, folder: Path, **more: str) -> Iterator[ConsoleProcess]:
    """Run a console until the block ends; `more` are settings beside those of the test."""
    tokens = TokenFile(folder / "tokens.json")
    made = {role.value: tokens.add(Person(f"{role.value}.of.it", role)) for role in Role}
    names = {f"FLUMEN_{name.upper()}": value for name, value in more.items()}
    own = {"FLUMEN_CONSOLE_PORT": "0", "FLUMEN_CONSOLE_TOKENS": str(tokens.path), "COLUMNS": "500"}
    with subprocess.Popen(
        [sys.executable, "-m", "flumen", "console"],
        env={**os.environ, **environment_of(settings)} | own | names,
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            said = process.stderr.readline()
            found = re.search(r"http://\S+", said)
            assert found, said + process.stderr.read()
            yield ConsoleProcess(found[0].rstrip("/"), made)
        finally:
            process.terminate()
            code, log = process.wait(60), process.stderr.read()
        assert code == 0, log
        assert "Traceback" not in log, log
