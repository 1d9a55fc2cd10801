"""Write `artifacts.toml` anew: `python -m flumen.stack.lock`. For maintainers, after a change of a version below.

jgo resolves the dependencies and downloads everything once; what is written is what was downloaded, with its
sha256 and size. At run time the file alone counts.
"""

import hashlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jgo.maven import MavenContext

from flumen.stack.artifacts import LOCK_FILE, Artifact

KAFKA, KUDU, SOLR, JANINO = "4.4.0", "1.18.1", "9.10.0", "3.1.12"

ROOTS = {
    # Kafka brings slf4j 1.7 and no binding; the simple one writes to standard error: the server's log.
    "kafka": (f"org.apache.kafka:kafka_2.13:{KAFKA}", "org.slf4j:slf4j-simple:1.7.36"),
    "kudu": (f"org.apache.kudu:kudu-binary:jar:linux-x86_64:{KUDU}",),
    "solr": (f"org.apache.solr:solr-core:{SOLR}", f"org.apache.solr:solr-test-framework:{SOLR}"),
    # The Kudu client's errors reach Python as exceptions, so its log binding is the silent one. Janino names
    # its companion's version in a way that jgo does not read, so it stands here.
    "kudu-client": (
        f"org.apache.kudu:kudu-client:{KUDU}",
        "org.slf4j:slf4j-nop:1.7.36",
        f"org.codehaus.janino:janino:{JANINO}",
        f"org.codehaus.janino:commons-compiler:{JANINO}",
    ),
}
CLASSIFIERS = {"", "tests", "linux-x86_64"}  # no native libraries of other platforms

HEADER = """\
# The artifacts of the local stack and of the Kudu client. Written by `python -m flumen.stack.lock`; do not edit.
# coordinates are group:artifact:version[:classifier], size is in bytes.
"""


def main() -> None:
    """Resolve, download, hash and write all groups."""
    with tempfile.TemporaryDirectory(prefix="flumen-lock-") as folder:
        context = MavenContext(repo_cache=Path(folder), timeout=120)
        sections = [_section(group, roots, _pin(context, roots)) for group, roots in ROOTS.items()]
    LOCK_FILE.write_text("\n".join([HEADER, *sections]), encoding="utf-8")
    sys.stdout.write(f"wrote {LOCK_FILE}\n")


def _pin(context: MavenContext, roots: Sequence[str]) -> list[Artifact]:
    """Return the pinned artifacts of one group: its roots first, in the order of the class path."""
    inputs, transitive = context.resolver.resolve([context.create_dependency(root) for root in roots])
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


if __name__ == "__main__":
    main()
