import os
from pathlib import Path

import pytest

from streams.errors import SourceUnreadable
from streams.sources import FoundFile, SourceOptions, count_images, find_files, read_images
from streams.wire import SourceImage


def refuse(error: SourceUnreadable) -> None:
    raise AssertionError(error)


def ids_of(*paths: Path) -> list[str]:
    return [file.id for file in find_files(paths, refuse)]


def read(*paths: Path, options: SourceOptions | None = None) -> list[SourceImage]:
    return list(read_images(find_files(paths, refuse), options or SourceOptions(), refuse))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name in ("b.png", "a.png", "2024/z.png", "2024/05/y.png", ".hidden.png", ".thumbs/x.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + name.encode())
    return folder


def test_a_folder_is_walked_in_order_without_hidden_files(photos: Path) -> None:
    assert ids_of(photos) == ["photos/a.png", "photos/b.png", "photos/2024/z.png", "photos/2024/05/y.png"]


def test_ids_are_the_same_however_the_folder_is_given(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absolute = ids_of(photos)
    monkeypatch.chdir(photos)
    assert ids_of(Path()) == absolute
    monkeypatch.chdir(photos / "2024")
    assert ids_of(Path("..")) == absolute


def test_a_file_is_named_by_itself(photos: Path) -> None:
    assert ids_of(photos / "a.png", photos / ".hidden.png") == ["a.png", ".hidden.png"]


def test_an_image_is_read_with_what_is_known_of_it(photos: Path) -> None:
    image = read(photos / "2024")[0]
    assert (image.id, image.name, image.source) == ("2024/z.png", "z.png", "2024")
    assert image.content == b"\x89PNG\r\n\x1a\n2024/z.png"
    assert image.content_type == "image/png"
    assert image.known_label is None
    assert image.time.tzinfo is not None


def test_a_source_is_a_uri_reference(tmp_path: Path) -> None:
    folder = tmp_path / "my photos: ä"
    folder.mkdir()
    (folder / "a b.png").write_bytes(b"x")
    [image] = read(folder)
    assert (image.id, image.name) == ("my photos: ä/a b.png", "a b.png")
    assert image.source == "my%20photos%3A%20%C3%A4"


def test_a_name_that_is_not_utf8_can_be_sent(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.png")).write_bytes(b"x")
    [image] = read(folder)
    assert image.id == r"odd/\udcff.png"
    assert image.name.encode()


def test_links_that_lead_round_in_circles_are_not_followed(photos: Path) -> None:
    (photos / "2024" / "round").symlink_to(photos, target_is_directory=True)
    (photos / "c.png").symlink_to(photos / "a.png")
    (photos / "dangling.png").symlink_to(photos / "nothing")
    assert [name for name in ids_of(photos) if "2024" not in name] == [
        "photos/a.png",
        "photos/b.png",
        "photos/c.png",
    ]


def test_what_is_not_a_file_is_left_out(photos: Path) -> None:
    os.mkfifo(photos / "pipe.png")
    assert "photos/pipe.png" not in ids_of(photos)


def test_a_missing_path_is_an_error_before_anything_is_read(photos: Path) -> None:
    with pytest.raises(SourceUnreadable, match=r"nothing.png' is neither a folder nor a file"):
        find_files([photos, photos / "nothing.png"], refuse)


def test_a_path_the_system_refuses_is_an_error() -> None:
    with pytest.raises(SourceUnreadable, match="File name too long"):
        find_files([Path("x" * 5000)], refuse)


def test_two_paths_of_one_name_are_refused(photos: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "photos"
    other.mkdir(parents=True)
    with pytest.raises(SourceUnreadable, match="have the same name"):
        find_files([photos, other], refuse)


def test_the_label_is_the_first_character_of_the_name(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    folder.mkdir()
    for name in ("7_0001.png", "x7.png", "²_1.png"):
        (folder / name).write_bytes(b"x")
    labelled = read(folder, options=SourceOptions(label_from_name=True))
    assert {image.name: image.known_label for image in labelled} == {
        "7_0001.png": 7,
        "x7.png": None,
        "²_1.png": None,
    }
    assert {image.known_label for image in read(folder)} == {None}


def test_a_file_that_vanishes_is_told_and_the_others_go_on(photos: Path) -> None:
    files = find_files([photos], refuse)
    (photos / "b.png").unlink()
    told: list[SourceUnreadable] = []
    images = list(read_images(files, SourceOptions(), told.append))
    assert len(images) == len(files) - 1
    [error] = told
    assert str(error) == f"'{photos}/b.png' cannot be read: No such file or directory"


def test_a_file_over_the_limit_is_told_and_the_others_go_on(photos: Path) -> None:
    (photos / "b.png").write_bytes(bytes(101))
    told: list[SourceUnreadable] = []
    files = find_files([photos], refuse)
    images = list(read_images(files, SourceOptions(max_image_bytes=100), told.append))
    assert len(images) == len(files) - 1
    assert "b.png' has more than 100 bytes; raise FLUMEN_MAX_IMAGE_BYTES" in str(told[0])


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    assert read(tmp_path) == []


def test_files_are_counted(photos: Path) -> None:
    assert count_images(find_files([photos], refuse)) == 4


def test_a_found_file_knows_its_path(photos: Path) -> None:
    assert find_files([photos / "a.png"], refuse) == (FoundFile(photos / "a.png", "a.png", "a.png"),)
