"""Write a lock file anew. For maintainers, after a change of a version.

jgo resolves the dependencies and downloads everything once; what is written is what was downloaded, with its
sha256 and size. At run time the file alone counts.
"""

import hashlib
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from jgo.maven import MavenContext

from flumen.stores.artifacts.cache import Artifact

CLASSIFIERS = {"", "tests", "linux-x86_64"}  # no native libraries of other platforms

HEADER = """\
# Pinned artifacts. Written by `python -m {module}`; do not edit.
# coordinates are group:artifact:version[:classifier], size is in bytes.
"""


def write_lock_file(
    lock_file: Path, module: str, groups: Mapping[str, Sequence[str]], alone: Collection[str] = ()
) -> None:
    """Resolve, download, hash and write all groups. Each is a list of coordinates; `module` is what calls this.

    Of the groups that `alone` names, what they depend on is left out: it stands on their class path already.
    """
    with tempfile.TemporaryDirectory(prefix="flumen-lock-") as folder:
        context = MavenContext(repo_cache=Path(folder), timeout=120)
        sections = [
            _section(group, roots, _pin(context, roots, alone=group in alone))
            for group, roots in groups.items()
        ]
    lock_file.write_text("\n".join([HEADER.format(module=module), *sections]), encoding="utf-8")
    sys.stdout.write(f"wrote {lock_file}\n")


def _pin(context: MavenContext, roots: Sequence[str], *, alone: bool) -> list[Artifact]:
    """Return the pinned artifacts of one group: its roots first, in the order of the class path."""
    named = [context.create_dependency(root) for root in roots]
    inputs, transitive = (named, []) if alone else context.resolver.resolve(named)
    pins: dict[str, Artifact] = {}
    for dependency in [*inputs, *transitive]:
        if "$" in dependency.version or dependency.classifier not in CLASSIFIERS:
            continue
        parts = [dependency.groupId, dependency.artifactId, dependency.version, dependency.classifier]
        coordinates = ":".join(part for part in parts if part)
        content = dependency.artifact.resolve().read_bytes()
        pins[coordinates] = Artifact(coordinates, hashlib.sha256(content).hexdigest(), len(content))
    return list(pins.values())


def _section(group: str, roots: Sequence[str], pins: Sequence[Artifact]) -> str:
    lines = [f"[{group}]", f"roots = [{', '.join(repr(root) for root in roots)}]", "artifacts = ["]
    lines += [
        f'    {{ coordinates = "{pin.coordinates}", sha256 = "{pin.sha256}", size = {pin.size} }},'
        for pin in pins
    ]
    return "\n".join([*lines, "]", ""])
