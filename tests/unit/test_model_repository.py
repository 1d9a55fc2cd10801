import os
import socket
import threading
import uuid
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_files import LABELS, small_model

from flumen.models.errors import (
    AliasInvalid,
    BadModelName,
    ManifestInvalid,
    ModelCorrupt,
    ModelNotFound,
    ModelRefused,
    ModelTooLarge,
    RepositoryRefused,
    RepositoryUnavailable,
)
from flumen.models.manifest import to_json
from flumen.models.names import as_version, check_name, parse_reference
from flumen.models.repository import Repository

CONTENT, MANIFEST = small_model()


class Place:
    """A repository, and a way to look at and to damage its files behind its back."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.repository = Repository(url)
        self._filesystem, self._root = fsspec.url_to_fs(url)

    def put(self, path: str, content: bytes) -> None:
        self._filesystem.makedirs(f"{self._root}/{path}".rpartition("/")[0], exist_ok=True)
        self._filesystem.pipe_file(f"{self._root}/{path}", content)

    def get(self, path: str) -> bytes:
        return self._filesystem.cat_file(f"{self._root}/{path}")

    def delete(self, path: str) -> None:
        self._filesystem.rm(f"{self._root}/{path}")

    def files(self) -> list[str]:
        found = self._filesystem.find(self._root)
        return sorted(path.removeprefix(self._root).strip("/") for path in found)


@pytest.fixture(params=["folder", "memory"])
def place(request, tmp_path):
    place = Place(str(tmp_path / "models") if request.param == "folder" else f"memory://{uuid.uuid4().hex}")
    yield place
    if request.param == "memory" and place.files():
        fsspec.filesystem("memory").rm(place.url.removeprefix("memory:/"), recursive=True)


def test_an_empty_repository_has_nothing(place):
    assert place.repository.names() == []
    assert place.repository.versions("shapes") == []
    assert place.repository.alias("shapes", "champion") is None
    assert place.repository.aliases("shapes", 1) == []
    with pytest.raises(ModelNotFound, match="flumen train"):
        place.repository.load("shapes", 1)


def test_what_is_registered_can_be_loaded(place):
    assert place.repository.register(CONTENT, MANIFEST) == 1
    assert place.files() == ["shapes/1/manifest.json", "shapes/1/model.onnx"]
    assert place.get("shapes/1/model.onnx") == CONTENT

    again = Repository(place.url)
    assert again.names() == ["shapes"]
    assert again.versions("shapes") == [1]
    assert again.manifest("shapes", 1) == replace(MANIFEST, version=1)
    classifier = again.load("shapes", 1, threads=2)
    assert (classifier.name, classifier.version, classifier.labels) == ("shapes", 1, LABELS)


def test_a_load_can_be_paced(place):
    place.repository.register(CONTENT, MANIFEST)
    rests = []
    place.repository.load("shapes", 1, throttle=lambda: rests.append(1))
    there = 7  # before it hashes, looks into the file, loads it, runs it three times; and at the end
    assert len(rests) == 2 + there + 3, "before it reads, sends, loads here and runs once; and at the end"


def test_versions_count_up_and_are_sorted_as_numbers(place):
    assert [place.repository.register(CONTENT, MANIFEST) for _ in range(11)] == list(range(1, 12))
    assert place.repository.versions("shapes") == list(range(1, 12))
    assert place.repository.register(CONTENT, replace(MANIFEST, name="other", version=7)) == 1
    assert place.repository.names() == ["other", "shapes"]


def test_a_refused_model_leaves_nothing_behind(place):
    with pytest.raises(ModelRefused):
        place.repository.register(CONTENT[:-1], MANIFEST)
    with pytest.raises(ManifestInvalid):
        place.repository.register(CONTENT, replace(MANIFEST, golden=()))
    with pytest.raises(BadModelName):
        place.repository.register(CONTENT, replace(MANIFEST, name="../shapes"))
    assert place.files() == []


def test_an_alias_names_a_version_until_it_names_another(place):
    repository = place.repository
    repository.register(CONTENT, MANIFEST)
    repository.register(CONTENT, MANIFEST)
    repository.set_alias("shapes", "champion", 1)
    repository.set_alias("shapes", "challenger", 2)
    assert (repository.alias("shapes", "champion"), repository.alias("shapes", "challenger")) == (1, 2)
    repository.set_alias("shapes", "champion", 2)
    assert repository.alias("shapes", "champion") == 2
    assert repository.aliases("shapes", 2) == ["challenger", "champion"]
    assert repository.aliases("shapes", 1) == []
    assert repository.versions("shapes") == [1, 2]


def test_an_alias_of_a_version_that_is_not_there_is_refused(place):
    place.repository.register(CONTENT, MANIFEST)
    with pytest.raises(ModelNotFound, match=r"no shapes@2 .*versions of 'shapes' there: 1"):
        place.repository.set_alias("shapes", "champion", 2)
    assert place.repository.alias("shapes", "champion") is None


@pytest.mark.parametrize("content", [b"", b"two", b"-1", b"0", b"1.5", b"\xff\xfe", b"1" * 99])
def test_a_damaged_alias_says_so(place, content):
    place.put("shapes/aliases/champion", content)
    with pytest.raises(AliasInvalid, match="shapes/aliases/champion"):
        place.repository.alias("shapes", "champion")


def test_a_reference_is_a_version_an_alias_or_the_best_there_is(place):
    repository = place.repository
    repository.register(CONTENT, MANIFEST)
    repository.register(CONTENT, MANIFEST)
    assert repository.resolve("shapes").version == 2
    repository.set_alias("shapes", "champion", 1)
    assert repository.resolve("shapes").version == 1
    assert repository.resolve("shapes@champion").version == 1
    assert repository.resolve("shapes@2").version == 2
    for reference in ("shapes@3", "shapes@challenger", "circles"):
        with pytest.raises(ModelNotFound, match="flumen models list"):
            repository.resolve(reference)


def test_a_damaged_model_file_is_not_loaded(place):
    place.repository.register(CONTENT, MANIFEST)
    place.put("shapes/1/model.onnx", CONTENT[:-1] + b"\0")
    with pytest.raises(ModelCorrupt, match="shapes@1"):
        place.repository.load("shapes", 1)


def test_a_model_over_the_limit_is_not_read_to_its_end(place):
    place.repository.register(CONTENT, MANIFEST)
    with pytest.raises(ModelTooLarge):
        Repository(place.url, max_model_bytes=len(CONTENT) - 1).load("shapes", 1)


def test_a_missing_model_file_is_named(place):
    place.repository.register(CONTENT, MANIFEST)
    place.delete("shapes/1/model.onnx")
    with pytest.raises(ModelNotFound, match=r"no model\.onnx"):
        place.repository.load("shapes", 1)


@pytest.mark.parametrize("content", [b"", b"{}", b"\0" * 1000])
def test_a_damaged_manifest_is_named(place, content):
    place.repository.register(CONTENT, MANIFEST)
    place.put("shapes/1/manifest.json", content)
    with pytest.raises(ManifestInvalid, match=r"shapes/1/manifest\.json"):
        place.repository.manifest("shapes", 1)


@pytest.mark.parametrize("changes", [{"version": 2}, {"name": "circles"}])
def test_a_manifest_of_another_version_is_refused(place, changes):
    place.repository.register(CONTENT, MANIFEST)
    place.put("shapes/1/manifest.json", to_json(replace(MANIFEST, **({"version": 1} | changes))))
    with pytest.raises(ManifestInvalid, match="copied by hand"):
        place.repository.manifest("shapes", 1)


def test_a_half_written_version_is_not_listed_and_its_number_not_taken(place):
    place.put("shapes/1/model.onnx", CONTENT)
    assert place.repository.names() == []
    assert place.repository.versions("shapes") == []
    assert place.repository.register(CONTENT, MANIFEST) == 2
    assert place.repository.versions("shapes") == [2]


def test_what_is_not_a_version_is_not_listed(place):
    place.repository.register(CONTENT, MANIFEST)
    for path in ("shapes/01", "shapes/.2", "shapes/latest", "shapes/3x", ".hidden/1", "UPPER/1"):
        place.put(f"{path}/manifest.json", b"{}")
    place.put("README.md", b"")
    place.put("shapes/4", b"a file")
    assert place.repository.names() == ["shapes"]
    assert place.repository.versions("shapes") == [1]


def test_registering_at_the_same_time_gives_each_a_version_of_its_own(place):
    versions: list[int] = []
    start = threading.Barrier(6)

    def register() -> None:
        repository = Repository(place.url)
        start.wait()
        versions.append(repository.register(CONTENT, MANIFEST))

    threads = [threading.Thread(target=register) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions) == [1, 2, 3, 4, 5, 6]
    assert place.repository.versions("shapes") == [1, 2, 3, 4, 5, 6]
    assert all("/." not in path for path in place.files())


HOSTILE = [
    "",
    ".",
    "..",
    "../mnist",
    "a/b",
    "a\\b",
    "/etc",
    "A",
    "-a",
    "_a",
    "a b",
    "a\n",
    "a\0",
    "é",
    "a" * 101,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_could_lead_elsewhere_are_refused(place, name):
    repository = place.repository
    for call in (
        lambda: repository.versions(name),
        lambda: repository.manifest(name, 1),
        lambda: repository.load(name, 1),
        lambda: repository.alias(name, "champion"),
        lambda: repository.alias("shapes", name),
        lambda: repository.set_alias("shapes", name, 1),
        lambda: repository.aliases(name, 1),
        lambda: repository.resolve(f"{name}@1"),
        lambda: repository.resolve(f"shapes@{name}"),
    ):
        with pytest.raises(BadModelName):
            call()


@pytest.mark.parametrize("version", [0, -1, 10**9, True, 1.0, "1", "../1", None])
def test_versions_are_whole_numbers_from_1(place, version):
    with pytest.raises(BadModelName):
        place.repository.load("shapes", version)


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_reference_is_harmless_or_refused(text):
    try:
        name, tail = parse_reference(text)
    except BadModelName:
        return
    assert not set("/\\.\0\n") & set(text)
    assert check_name(name)
    assert tail is None or as_version(str(tail)) == tail or check_name(str(tail))


@pytest.fixture
def two_roots(tmp_path: Path) -> tuple[Path, Path]:
    """A repository with one model, and a folder outside of it that holds the same, readable to all."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for root in (inside, outside):
        Repository(root).register(CONTENT, MANIFEST)
        Repository(root).set_alias("shapes", "champion", 1)
    return inside, outside


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize(
    "path", ["shapes", "shapes/1", "shapes/1/manifest.json", "shapes/1/model.onnx", "shapes/aliases/champion"]
)
def test_a_link_out_of_the_repository_is_not_followed(
    two_roots: tuple[Path, Path], path: str, absolute: bool
):
    inside, outside = two_roots
    link = inside / path
    link.rename(inside / "former")
    link.symlink_to(outside / path if absolute else os.path.relpath(outside / path, link.parent))
    repository = Repository(inside)
    with pytest.raises(ModelNotFound, match="leads outside"):
        repository.load("shapes", repository.alias("shapes", "champion") or 0)


@pytest.mark.parametrize("path", ["shapes", "shapes/aliases"])
def test_nothing_is_written_through_a_link_out_of_the_repository(two_roots: tuple[Path, Path], path: str):
    inside, outside = two_roots
    (inside / path).rename(inside / "former")
    (inside / path).symlink_to(outside / path)
    before = sorted(outside.rglob("*"))
    with pytest.raises(ModelNotFound, match="leads outside"):
        Repository(inside).set_alias("shapes", "challenger", 1)
    if path == "shapes":
        with pytest.raises(ModelNotFound, match="leads outside"):
            Repository(inside).register(CONTENT, MANIFEST)
    assert sorted(outside.rglob("*")) == before


@pytest.mark.parametrize("path", ["evil", "shapes/2", "shapes/2/manifest.json"])
def test_a_link_out_of_the_repository_hides_no_other_model(two_roots: tuple[Path, Path], path: str):
    inside, outside = two_roots
    (inside / path).parent.mkdir(exist_ok=True)
    (inside / path).symlink_to(
        outside / "shapes" / "1" / "manifest.json" if "." in path else outside / "shapes"
    )
    assert Repository(inside).names() == ["shapes"]
    assert Repository(inside).versions("shapes") == [1]


@pytest.mark.parametrize("path", ["evil", "shapes/2", "shapes/2/manifest.json", "shapes/aliases/challenger"])
def test_a_link_to_itself_hides_no_other_model(two_roots: tuple[Path, Path], path: str):
    inside, _ = two_roots
    link = inside / path
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(link.name)
    repository = Repository(inside)
    assert repository.names() == ["shapes"]
    assert repository.versions("shapes") == [1]
    assert repository.aliases("shapes", 1) == ["champion"]


def test_a_link_within_the_repository_is_followed(two_roots: tuple[Path, Path]):
    inside, _ = two_roots
    (inside / "shapes" / "1").rename(inside / ".store")
    (inside / "shapes" / "1").symlink_to(Path("..", ".store"))
    assert Repository(inside).load("shapes", 1).version == 1


def test_a_root_that_is_a_link_is_a_root(tmp_path: Path):
    Repository(tmp_path / "real").register(CONTENT, MANIFEST)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert Repository(tmp_path / "link").load("shapes", 1).version == 1


def test_a_pipe_in_place_of_a_file_does_not_stop_the_reader(tmp_path: Path):
    (tmp_path / "shapes" / "1").mkdir(parents=True)
    os.mkfifo(tmp_path / "shapes" / "1" / "manifest.json")
    assert Repository(tmp_path).versions("shapes") == []


def test_an_unknown_protocol_says_what_to_set():
    with pytest.raises(RepositoryUnavailable, match="FLUMEN_MODELS_ROOT"):
        Repository("nosuchprotocol://bucket/models")


def test_a_root_that_is_a_file_says_so(tmp_path: Path):
    root = tmp_path / "models"
    root.write_text("not a folder")
    with pytest.raises(RepositoryUnavailable, match="FLUMEN_MODELS_ROOT"):
        Repository(root).register(CONTENT, MANIFEST)


def test_a_relative_root_and_a_file_url_are_the_same_folder(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Repository("models").register(CONTENT, MANIFEST)
    assert Repository(f"file://{tmp_path}/models").versions("shapes") == [1]
    assert Repository(tmp_path / "models").versions("shapes") == [1]


def test_a_server_that_does_not_answer_is_not_an_empty_repository():
    """fsspec's driver for HTTP calls every file missing then."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = "http://{}:{}/models".format(*nobody.getsockname())
        repository = Repository(address)
        for ask in (lambda: repository.alias("shapes", "champion"), lambda: repository.manifest("shapes", 1)):
            with pytest.raises(RepositoryUnavailable, match="Connect") as refused:
                ask()
            assert refused.value.retriable


def test_what_somebody_has_to_mend_is_not_waited_for(tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(RepositoryRefused) as refused:
        Repository(tmp_path / "file" / "models").register(CONTENT, MANIFEST)
    assert not refused.value.retriable
    with pytest.raises(RepositoryRefused):
        Repository("nosuchprotocol://bucket/models")
