import bz2
import gzip
import io
import stat
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from streams.errors import SourceUnreadable
from streams.sources import SourceOptions, count_images, find_files, read_images

LIMIT = 100_000
MEMBERS = {
    "a.png": b"first",
    "./sub/7_b.png": b"second" * 1000,
    "../../etc/passwd": b"third",
    "/root/c.png": b"fourth",
    ".hidden.png": b"no",
    "__MACOSX/._a.png": b"no",
    "d\u00e9.png": b"fifth",
}
EXPECTED = {
    "a.png": b"first",
    "sub/7_b.png": b"second" * 1000,
    "../../etc/passwd": b"third",
    "root/c.png": b"fourth",
    "d\u00e9.png": b"fifth",
}
TAR_ENDINGS = [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"]


def write_zip(path: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.mkdir("folder")
        for name, content in members.items():
            archive.writestr(name, content)
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return path


def write_one_member(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", content)
    return path


def write_tar(path: Path, members: Mapping[str, bytes], extra: Iterable[tarfile.TarInfo] = ()) -> Path:
    packing = {"gz": "gz", "tgz": "gz", "bz2": "bz2", "tbz2": "bz2", "xz": "xz", "txz": "xz", "tar": ""}
    with tarfile.open(path, f"w:{packing[path.suffix[1:]]}") as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info)
    return path


def refuse(error: SourceUnreadable) -> None:
    raise AssertionError(error)


def read(path: Path) -> tuple[dict[str, bytes], list[str]]:
    """Return what could be read by id, and what was told of the rest."""
    told: list[SourceUnreadable] = []
    files = find_files([path], told.append)
    options = SourceOptions(max_image_bytes=LIMIT)
    return {image.id: image.content for image in read_images(files, options, told.append)}, [
        str(error) for error in told
    ]


def below(path: Path, members: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{path.name}/{name}": content for name, content in members.items()}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_read(tmp_path: Path, method: int) -> None:
    path = write_zip(tmp_path / "images.zip", MEMBERS, method)
    assert read(path) == (below(path, EXPECTED), [])


@pytest.mark.parametrize("ending", TAR_ENDINGS)
def test_a_tar_is_read(tmp_path: Path, ending: str) -> None:
    others = []
    for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        info = tarfile.TarInfo(f"other{kind.decode()}.png")
        info.type = kind
        info.linkname = "a.png"
        others.append(info)
    path = write_tar(tmp_path / f"images{ending}", MEMBERS, others)
    assert read(path) == (below(path, EXPECTED), [])


def test_an_archive_in_a_folder_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    write_zip(folder / "old.ZIP", {"7_a.png": b"x"})
    [file] = find_files([folder], refuse)
    [image] = read_images([file], SourceOptions(label_from_name=True), refuse)
    assert (image.id, image.name, image.source) == ("photos/old.ZIP/7_a.png", "7_a.png", "photos")
    assert image.known_label == 7


def test_a_zip_is_counted_by_its_index_and_a_tar_is_not(tmp_path: Path) -> None:
    packed = write_zip(tmp_path / "a.zip", MEMBERS)
    assert count_images(find_files([packed], refuse)) == len(EXPECTED)
    tar = write_tar(tmp_path / "a.tar", MEMBERS)
    assert count_images(find_files([packed, tar], refuse)) is None


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_a_member_over_the_limit_is_told_and_the_others_go_on(
    tmp_path: Path, write: Callable[[Path, Mapping[str, bytes]], Path]
) -> None:
    path = tmp_path / ("a.zip" if write is write_zip else "a.tar")
    write(path, {"a.png": b"a", "large.png": bytes(LIMIT + 1), "most.png": bytes(LIMIT), "z.png": b"z"})
    images, [reason] = read(path)
    assert list(images) == [f"{path.name}/{name}" for name in ("a.png", "most.png", "z.png")]
    assert f"{path.name}/large.png' has more than 100,000 bytes" in reason


def test_a_zip_that_lies_about_a_size_is_told(tmp_path: Path) -> None:
    path = write_one_member(tmp_path / "a.zip", bytes(10 * LIMIT))
    data = bytearray(path.read_bytes())
    size_in_index = data.index(b"PK\x01\x02") + 24
    data[size_in_index : size_in_index + 4] = (50).to_bytes(4, "little")
    path.write_bytes(data)
    images, [reason] = read(path)
    assert images == {}
    assert "Bad CRC-32" in reason


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_packed_without_a_bound_is_told(tmp_path: Path, method: int) -> None:
    images, [reason] = read(write_zip(tmp_path / "a.zip", {"a.png": b"a" * 100}, method))
    assert images == {}
    assert "packed by a method other than deflate" in reason


def test_an_encrypted_member_is_told(tmp_path: Path) -> None:
    path = write_one_member(tmp_path / "a.zip", b"a")
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag of encryption, in the member's header and in the index
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    images, [reason] = read(path)
    assert images == {}
    assert "encrypted" in reason


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
@pytest.mark.parametrize("content", [b"", b"not an archive" * 100])
def test_what_is_no_archive_is_told(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    images, reasons = read(path)
    assert images == {}
    assert [name in reason and "cannot be read" in reason for reason in reasons] == [True]


@pytest.mark.parametrize("ending", TAR_ENDINGS)
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_tar_cut_short_is_told(tmp_path: Path, ending: str, kept: float) -> None:
    members = {f"{row}.png": bytes([row]) * 600 for row in range(200)}
    path = write_tar(tmp_path / f"a{ending}", members)
    whole = path.read_bytes().rstrip(b"\0")
    path.write_bytes(whole[: int(len(whole) * kept)])
    images, reasons = read(path)
    assert images.items() <= below(path, members).items()
    assert len(images) < len(members)
    assert len(reasons) == 1


def test_a_tar_damaged_in_a_header_is_told(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.png": b"a", "b.png": b"b", "c.png": b"c"})
    data = bytearray(path.read_bytes())
    data[data.index(b"b.png")] ^= 1
    path.write_bytes(data)
    images, [reason] = read(path)
    assert list(images) == ["a.tar/a.png"]
    assert "the archive is damaged: bad checksum" in reason


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_tar_with_an_endless_name_is_told(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("name")
    info.type = kind
    info.size = 8 * 1024**3 - 1
    path = tmp_path / "a.tar"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    images, [reason] = read(path)
    assert images == {}
    assert "a name in it is 8,589,934,591 bytes long" in reason


def test_a_long_name_is_read(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"x" * 300 + ".png": b"x"})
    assert read(path) == ({f"a.tar/{'x' * 300}.png": b"x"}, [])


@pytest.mark.parametrize(("ending", "pack"), [(".tar.bz2", bz2.compress), (".tar.gz", gzip.compress)])
def test_a_bomb_in_a_tar_is_skipped_without_unpacking_it_to_memory(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    size = 64 * 1024 * 1024
    bomb, end = tarfile.TarInfo("bomb.png"), tarfile.TarInfo("end.png")
    bomb.size = size
    path = tmp_path / f"a{ending}"
    path.write_bytes(pack(bomb.tobuf() + bytes(size) + end.tobuf() + bytes(1024)))
    tracemalloc.start()
    try:
        images, [reason] = read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert list(images) == [f"a{ending}/end.png"]
    assert "bomb.png' has more than" in reason
    assert peak < size // 8
