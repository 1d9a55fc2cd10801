"""Every class of errors stands in its package's drawing, under its parent; and what is drawn is there."""

import ast
import builtins
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(link.name for link in (ROOT / "flumen").iterdir() if link.is_symlink())
OUTSIDE = {"Exception", "RequestException", "TimeoutError"}
"""What those errors are drawn under that never leave their package."""

_DRAWN = re.compile(r"^(?P<indent>[│ ]*)[├└]── (?P<name>\w+) +(?P<meaning>\S.*)$")


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def drawing(package: str) -> Iterator[tuple[str, str, str]]:
    """Yield each name in the drawing of a package, the one above it (none for a root), and what is said of it."""
    above: list[str] = []
    for line in (ast.get_docstring(tree(ROOT / package / "errors.py")) or "").splitlines():
        if drawn := _DRAWN.match(line):
            depth, rest = divmod(len(drawn["indent"]), 4)
            assert rest == 0, line
            assert depth < len(above), line
            yield drawn["name"], above[depth], drawn["meaning"]
            above[depth + 1 :] = [drawn["name"]]
        else:
            assert not set("│├└") & set(line), f"cannot be read: {line!r}"
            if re.fullmatch(r"\w+", line):
                yield line, "", ""
                above = [line]


def classes(package: str) -> Iterator[tuple[str, str]]:
    """Yield each class of a package that has a base, with the first of its bases."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and node.bases:
                yield node.name, ast.unparse(node.bases[0]).rpartition(".")[2]


ALL = dict(each for package in PACKAGES for each in classes(package))


def is_error(name: str) -> bool:
    while name in ALL:
        name = ALL[name]
    known = getattr(builtins, name, None)
    builtin = isinstance(known, type) and issubclass(known, BaseException)
    return builtin or name.endswith(("Error", "Exception", "Exit", "BadParameter"))


@pytest.mark.parametrize("package", PACKAGES)
def test_the_drawing_has_every_error_under_its_parent_and_no_other(package: str) -> None:
    """Those whose names begin with `_` are caught in the file that raises them."""
    there = {name: base for name, base in classes(package) if is_error(name) and not name.startswith("_")}
    drawn = {name: above or "Exception" for name, above, _ in drawing(package) if name not in OUTSIDE}
    assert drawn == there


@pytest.mark.parametrize("package", PACKAGES)
def test_the_errors_that_leave_a_package_are_one_tree(package: str) -> None:
    roots = [name for name, above, _ in drawing(package) if not above and name not in OUTSIDE]
    assert len(roots) == 1


@pytest.mark.parametrize("package", PACKAGES)
def test_the_drawing_tells_which_errors_a_retry_may_end(package: str) -> None:
    module = import_module(f"flumen.{package}.errors")
    there = {name for name, value in vars(module).items() if getattr(value, "retriable", False)}
    assert {name for name, _, meaning in drawing(package) if meaning.endswith("; retriable")} == there
