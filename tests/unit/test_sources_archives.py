import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from flumen.streams.errors import SourceUnreadable
from flumen.streams.publishing.sources import SourceOptions, count_images, find_files, read_images

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
PACK: dict[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    **dict.fromkeys((".tar.gz", ".tgz"), gzip.compress),
    **dict.fromkeys((".tar.bz2", ".tbz2"), bz2.compress),
    **dict.fromkeys((".tar.xz", ".txz"), lzma.compress),
}
TAR_ENDINGS = list(PACK)


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
    for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
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


DATA = Path(__file__).parents[1] / "data" / "sources"


@pytest.mark.parametrize("how", ["number", "pax"])
@pytest.mark.parametrize("claimed", [LIMIT - 1, 1 << 40, 1 << 60])
@pytest.mark.parametrize("ending", TAR_ENDINGS)
def test_a_size_that_a_tar_only_claims_is_not_believed(
    tmp_path: Path, how: str, claimed: int, ending: str
) -> None:
    member = tarfile.TarInfo("claims.png")
    if how == "pax":
        member.pax_headers = {"size": str(claimed)}
        header = member.tobuf(tarfile.PAX_FORMAT)
    else:
        member.size = claimed
        header = member.tobuf(tarfile.GNU_FORMAT)
    first = tarfile.TarInfo("a.png")
    first.size = 1
    content = first.tobuf() + b"a" + bytes(511) + header + bytes(512)
    path = tmp_path / f"a{ending}"
    path.write_bytes(PACK[ending](content))
    images, reasons = read(path)
    assert images == {f"a{ending}/a.png": b"a"}
    assert len(reasons) == (1 if claimed < LIMIT else 2)
    assert any(
        said in reasons[-1] for said in ("cut short", "unexpected end of data", "can hold no more than")
    )


def test_an_xz_that_asks_for_more_memory_than_it_should_is_told(tmp_path: Path) -> None:
    """4 GiB, as a dictionary's size in its header; what is read need not be large."""
    path = write_tar(tmp_path / "a.tar.xz", {"a.png": b"image"})
    packed = bytearray(path.read_bytes())
    head = slice(12, 12 + 4 * (packed[12] + 1) - 4)  # the block's header, without its checksum
    assert packed[14:16] == b"\x21\x01", "the filter LZMA2, and one byte for the size"
    packed[16] = 40
    packed[head.stop : head.stop + 4] = zlib.crc32(packed[head]).to_bytes(4, "little")
    path.write_bytes(packed)
    images, told = read(path)
    assert images == {}
    assert "takes more than 134,217,728 bytes of memory; pack it anew" in told[0]


def test_files_of_xz_behind_one_another_are_one(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar.xz", MEMBERS)
    content = lzma.decompress(path.read_bytes())
    path.write_bytes(lzma.compress(content[:700]) + bytes(8) + lzma.compress(content[700:], preset=9))
    assert read(path) == (below(path, EXPECTED), [])


def test_reading_a_tar_ends_when_it_is_told_to(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {f"{row}.png": bytes(20_000) for row in range(20)})
    read_so_far = 0
    options = SourceOptions(max_image_bytes=LIMIT, stopped=lambda: read_so_far >= 3)
    for image in read_images(find_files([path], refuse), options, refuse):
        read_so_far += 1
        assert len(image.content) == 20_000
    assert 3 <= read_so_far < 20


@pytest.mark.parametrize(
    ("ending", "packing"), [(".tar", "gz"), (".tar.gz", ""), (".tgz", "bz2"), (".tar.xz", "gz")]
)
def test_a_name_may_be_wrong_about_the_packing(tmp_path: Path, ending: str, packing: str) -> None:
    path = tmp_path / f"a{ending}"
    with tarfile.open(path, f"w:{packing}") as archive:  # type: ignore[call-overload]
        info = tarfile.TarInfo("a.png")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"a"))
    assert read(path) == ({f"a{ending}/a.png": b"a"}, [])


def test_a_hard_link_is_an_image_like_the_one_that_it_names() -> None:
    path = DATA / "tar_hard_link_second_image_missing.tar"
    images, reasons = read(path)
    assert list(images) == [f"{path.name}/one.png", f"{path.name}/two.png"]
    assert len(set(images.values())) == 1
    assert reasons == []


def link_to(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.LNKTYPE, target
    return info


@pytest.mark.parametrize("ending", TAR_ENDINGS)
def test_hard_links_of_every_kind(tmp_path: Path, ending: str) -> None:
    links = [
        link_to("b.png", "./a.png"),
        link_to("c.png", "b.png"),
        link_to(".hidden-link.png", "a.png"),
        link_to("from-hidden.png", ".hidden.png"),
        link_to("nowhere.png", "gone.png"),
        link_to("large-too.png", "large.png"),
    ]
    members = {"a.png": b"a", ".hidden.png": b"h", "large.png": bytes(LIMIT + 1)}
    path = write_tar(tmp_path / f"a{ending}", members, links)
    images, reasons = read(path)
    assert images == below(path, {"a.png": b"a", "b.png": b"a", "c.png": b"a", "from-hidden.png": b"h"})
    assert [reason.split("/")[-1].split("'")[0] for reason in reasons] == [
        *("large.png", "large-too.png", "nowhere.png")
    ]
    assert "is a hard link to 'gone.png', and no such file is in the archive" in reasons[-1]


def test_hard_links_do_not_stand_for_more_than_the_archive_holds(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "a.tar", {"a.png": bytes(LIMIT)}, [link_to(f"{n}.png", "a.png") for n in range(50)]
    )
    images, [reason] = read(path)
    assert 1 < len(images) < 10
    assert "stand for far more than it holds" in reason


def test_a_zip_of_powershell_has_folders_hidden_ones_and_labels() -> None:
    path = DATA / "backslash_names_of_powershell5.zip"
    files = find_files([path], refuse)
    images = list(read_images(files, SourceOptions(label_from_name=True), refuse))
    assert [(image.id, image.name, image.known_label) for image in images] == [
        (f"{path.name}/digits/7_0001.png", "7_0001.png", 7),
        (f"{path.name}/digits/3_0002.png", "3_0002.png", 3),
    ]
    assert count_images(files) == len(images)


def test_a_backslash_in_a_zip_of_unix_is_part_of_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    info = zipfile.ZipInfo("a\\b.png")
    info.create_system = 3
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, b"x")
    assert read(path) == ({"a.zip/a\\b.png": b"x"}, [])


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK, stat.S_IFLNK])
def test_what_is_no_file_in_a_zip_is_left_out(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, mode in (("other.png", kind), ("a.png", stat.S_IFREG)):
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode | 0o644) << 16
            archive.writestr(info, b"x")
    assert read(path) == ({"a.zip/a.png": b"x"}, [])
    assert count_images(find_files([path], refuse)) == 1


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_spellings_of_one_name_are_told_and_none_replaces_another(
    tmp_path: Path, write: Callable[[Path, Mapping[str, bytes]], Path]
) -> None:
    path = tmp_path / ("a.zip" if write is write_zip else "a.tar")
    write(path, {"a.png": b"1", "./a.png": b"2", "b//c.png": b"3", "/a.png": b"4", "b/c.png": b"5"})
    images, reasons = read(path)
    assert images == {f"{path.name}/a.png": b"1", f"{path.name}/b/c.png": b"3"}
    assert len(reasons) == 3
    assert f"an image before it is called '{path.name}/a.png' as well, and was published" in reasons[0]


def test_overlapping_members_of_a_zip_are_read_once(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.png", bytes(LIMIT))
        archive.writestr("z.png", b"z")
    # Sixty more entries of the index that all lie on the bytes of the first.
    data = path.read_bytes()
    index = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entry = data[index : data.index(b"PK\x01\x02", index + 1)]
    more = b"".join(entry.replace(b"0.png", b"%c.png" % (65 + row)) for row in range(60) if row != 57)
    directory = data[index:end] + more
    counts = struct.pack("<HHII", 61, 61, len(directory), index)
    path.write_bytes(data[:index] + directory + data[end : end + 8] + counts + data[end + 20 :])
    images, reasons = read(path)
    assert images == {"a.zip/0.png": bytes(LIMIT), "a.zip/z.png": b"z"}
    assert len(reasons) == 59
    assert all("lies on the bytes of another member" in reason for reason in reasons)
