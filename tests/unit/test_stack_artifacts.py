"""The lock file, and downloads from a real HTTP server of the test's own."""

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flumen.stack import artifacts as of_servers
from flumen.stores.artifacts import Artifact, ArtifactError, cache
from flumen.stores.artifacts.download import CHUNK_BYTES, Source, fetch
from flumen.stores.artifacts.session import describe
from flumen.stores.kudu import jars

CONTENT = bytes(range(256)) * 8192  # 2 MiB, several pieces

PINNED = of_servers.pinned() | cache.pinned(jars.LOCK_FILE)
LOCK_FILE = Path("of no file")

Respond = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(respond: Respond) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """Answer GET requests with `respond`; yield the address and the list of (path, Range) that were asked for."""
    asked: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Range"]))
            respond(self)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(
    request: BaseHTTPRequestHandler, body: bytes, status: int = 200, announced: int | None = None
) -> None:
    request.send_response(status)
    request.send_header("Content-Length", str(len(body) if announced is None else announced))
    request.end_headers()
    request.wfile.write(body)


def whole_or_range(request: BaseHTTPRequestHandler) -> None:
    """A server that knows ranges."""
    wanted = request.headers["Range"]
    if wanted is None:
        send(request, CONTENT)
    else:
        send(request, CONTENT[int(wanted.removeprefix("bytes=").removesuffix("-")) :], status=206)


def source_of(address: str, content: bytes = CONTENT) -> Source:
    return Source(f"{address}/a.jar", "g:a:1", hashlib.sha256(content).hexdigest(), len(content))


@pytest.fixture
def gained() -> list[int]:
    return []


def test_every_pinned_artifact_is_complete() -> None:
    groups = PINNED
    assert set(groups) == {"kafka", "kudu", "solr", "kudu-client", "kudu-spark", "arrow-java"}
    for group in groups.values():
        assert len({artifact.coordinates for artifact in group}) == len(group) > 0
        for artifact in group:
            assert re.fullmatch(r"[0-9a-f]{64}", artifact.sha256)
            assert artifact.size > 0
            assert re.fullmatch(r"[\w.-]+(:[\w.-]+){2,3}", artifact.coordinates)


@pytest.mark.parametrize("lock_file", [of_servers.LOCK_FILE, jars.LOCK_FILE])
def test_a_lock_file_names_no_host(lock_file: Path) -> None:
    assert "://" not in lock_file.read_text()


def test_the_versions_are_those_of_the_design() -> None:
    names = {a.coordinates.split(":")[1]: a.coordinates for group in PINNED.values() for a in group}
    assert names["kafka_2.13"] == "org.apache.kafka:kafka_2.13:4.4.0"
    assert names["kudu-binary"] == "org.apache.kudu:kudu-binary:1.18.1:linux-x86_64"
    assert names["solr-core"] == "org.apache.solr:solr-core:9.10.0"
    assert names["kudu-client"] == "org.apache.kudu:kudu-client:1.18.1"
    assert {"janino", "commons-compiler", "slf4j-nop"} <= set(names)


@pytest.mark.parametrize(
    ("coordinates", "path"),
    [
        (
            "org.apache.kafka:kafka-clients:4.4.0",
            "org/apache/kafka/kafka-clients/4.4.0/kafka-clients-4.4.0.jar",
        ),
        ("g:a:1:linux-x86_64", "g/a/1/a-1-linux-x86_64.jar"),
    ],
)
def test_an_artifacts_place_in_a_repository(coordinates: str, path: str) -> None:
    assert Artifact(coordinates, "", 0).path == path


def test_a_download_is_whole_and_leaves_no_part(tmp_path: Path, gained: list[int]) -> None:
    with serving(whole_or_range) as (address, _):
        fetch(source_of(address), tmp_path / "a.jar", gained.append)
    assert (tmp_path / "a.jar").read_bytes() == CONTENT
    assert sum(gained) == len(CONTENT)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jar"]


def test_a_download_goes_on_where_it_stopped(tmp_path: Path, gained: list[int]) -> None:
    (tmp_path / "a.jar.part").write_bytes(CONTENT[:1000])
    with serving(whole_or_range) as (address, asked):
        fetch(source_of(address), tmp_path / "a.jar", gained.append)
    assert asked == [("/a.jar", "bytes=1000-")]
    assert (tmp_path / "a.jar").read_bytes() == CONTENT
    assert sum(gained) == len(CONTENT)


def test_a_broken_connection_is_taken_up_again(tmp_path: Path, gained: list[int]) -> None:
    def break_off_once(request: BaseHTTPRequestHandler) -> None:
        if request.headers["Range"] is None:
            send(request, CONTENT[:500_000], announced=len(CONTENT))
        else:
            whole_or_range(request)

    with serving(break_off_once) as (address, asked):
        fetch(source_of(address), tmp_path / "a.jar", gained.append)
    assert (tmp_path / "a.jar").read_bytes() == CONTENT
    assert [wanted for _, wanted in asked] == [None, f"bytes={CHUNK_BYTES * (500_000 // CHUNK_BYTES)}-"]


def test_a_server_without_ranges_is_read_from_the_start(tmp_path: Path, gained: list[int]) -> None:
    (tmp_path / "a.jar.part").write_bytes(b"x" * 1000)
    with serving(lambda request: send(request, CONTENT)) as (address, _):
        fetch(source_of(address), tmp_path / "a.jar", gained.append)
    assert (tmp_path / "a.jar").read_bytes() == CONTENT
    assert sum(gained) == len(CONTENT)


def test_a_part_of_something_else_is_thrown_away(tmp_path: Path, gained: list[int]) -> None:
    (tmp_path / "a.jar.part").write_bytes(b"x" * 1000)
    with serving(whole_or_range) as (address, asked):
        fetch(source_of(address), tmp_path / "a.jar", gained.append)
    assert (tmp_path / "a.jar").read_bytes() == CONTENT
    assert [wanted for _, wanted in asked] == ["bytes=1000-", None]
    assert sum(gained) == len(CONTENT)


def test_other_bytes_than_pinned_are_refused(tmp_path: Path, gained: list[int]) -> None:
    wrong = b"!" + CONTENT[1:]
    with (
        serving(lambda request: send(request, wrong)) as (address, asked),
        pytest.raises(
            ArtifactError, match=r"cannot download g:a:1: its sha256 is [0-9a-f]{64}, and .* is pinned"
        ),
    ):
        fetch(source_of(address), tmp_path / "a.jar", gained.append, attempts=2)
    assert len(asked) == 2
    assert list(tmp_path.iterdir()) == []
    assert sum(gained) == 0


def test_more_bytes_than_pinned_are_refused(tmp_path: Path, gained: list[int]) -> None:
    with (
        serving(lambda request: send(request, CONTENT + b"more")) as (address, _),
        pytest.raises(ArtifactError, match="more than the 2,097,152 bytes pinned"),
    ):
        fetch(source_of(address), tmp_path / "a.jar", gained.append, attempts=1)
    assert not (tmp_path / "a.jar").exists()


def test_a_missing_artifact_is_not_asked_for_again(tmp_path: Path, gained: list[int]) -> None:
    with (
        serving(lambda request: send(request, b"", status=404)) as (address, asked),
        pytest.raises(ArtifactError, match=r"cannot download g:a:1: 404 .* FLUMEN_MAVEN_REPOSITORY"),
    ):
        fetch(source_of(address), tmp_path / "a.jar", gained.append)
    assert len(asked) == 1


def test_a_mirror_on_this_machine_is_asked_directly(
    tmp_path: Path, gained: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(lambda request: send(request, CONTENT)) as (address, _):
        fetch(source_of(address), tmp_path / "a.jar", gained.append, attempts=1)


def test_a_proxy_on_the_way_is_named_and_no_password_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://me:hunter2@proxy:3128")
    said = describe(OSError("404 for url: http://you:hunter2@mirror/x"), "http://you:hunter2@mirror")
    assert said == (
        "404 for url: http://***@mirror/x (it was asked through the proxy http://proxy:3128 of HTTP_PROXY)"
    )


def test_a_server_that_has_hiccups_is_asked_again(tmp_path: Path, gained: list[int]) -> None:
    answers = iter([503, 429])

    def hiccup(request: BaseHTTPRequestHandler) -> None:
        status = next(answers, 200)
        send(request, CONTENT if status == 200 else b"", status)

    with serving(hiccup) as (address, asked):
        fetch(source_of(address), tmp_path / "a.jar", gained.append)
    assert len(asked) == 3
    assert (tmp_path / "a.jar").read_bytes() == CONTENT


@pytest.fixture
def small_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Artifact]]:
    """Three small artifacts pinned as the group `small`, a cache of the test's own, and a repository to fill it."""
    bodies = {f"/g/a{n}/1/a{n}-1.jar": str(n).encode() * 1000 for n in range(3)}
    pins = [
        Artifact(f"g:a{n}:1", hashlib.sha256(body).hexdigest(), len(body))
        for n, body in enumerate(bodies.values())
    ]

    def respond(request: BaseHTTPRequestHandler) -> None:
        send(request, bodies[request.path])

    monkeypatch.setattr(cache, "pinned", lambda _: {"small": tuple(pins)})
    monkeypatch.setenv("FLUMEN_CACHE", str(tmp_path / "cache"))
    with serving(respond) as (address, asked):
        monkeypatch.setenv("FLUMEN_MAVEN_REPOSITORY", f"{address}/")
        yield pins
        assert len(asked) >= len(pins)


def test_resolve_downloads_once_and_reports(small_group: list[Artifact]) -> None:
    reports: list[tuple[str, int, int, str]] = []
    files = cache.resolve(LOCK_FILE, "small", lambda *report: reports.append(report))
    assert [file.name for file in files] == ["a0-1.jar", "a1-1.jar", "a2-1.jar"]
    assert reports[0] == ("download small", 0, 3000, "bytes")
    assert reports[-1] == ("download small", 3000, 3000, "bytes")
    reports.clear()
    assert cache.resolve(LOCK_FILE, "small", lambda *report: reports.append(report)) == files
    assert reports == []


def test_a_damaged_file_in_the_cache_is_downloaded_again(small_group: list[Artifact]) -> None:
    damaged = cache.resolve(LOCK_FILE, "small")[1]
    good = damaged.read_bytes()
    damaged.write_bytes(b"?" + good[1:])
    assert [artifact.coordinates for artifact in cache.missing(LOCK_FILE, "small")] == ["g:a1:1"]
    cache.resolve(LOCK_FILE, "small")
    assert damaged.read_bytes() == good


def test_an_unreachable_repository_is_told_soon(
    small_group: list[Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.resolve(LOCK_FILE, "small")
    monkeypatch.setenv("FLUMEN_MAVEN_REPOSITORY", "http://127.0.0.1:9/nothing")
    cache.resolve(LOCK_FILE, "small")[0].unlink()
    with pytest.raises(ArtifactError, match="cannot download g:a0:1"):
        cache.resolve(LOCK_FILE, "small")
