import os
from pathlib import Path
from zipfile import ZipFile

import pytest

from flumen.streams.errors import SourceUnreadable
from flumen.streams.events import read_event
from flumen.streams.publishing.sources import FoundFile, SourceOptions, count_images, find_files, read_images
from flumen.streams.wire import SourceImage, to_message


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


def read_telling(folder: Path, *, follow_links: bool) -> tuple[list[str], dict[str, str]]:
    """Return the ids that were read, and what was told of the others, by name."""
    told: list[SourceUnreadable] = []
    files = find_files([folder], told.append, follow_links=follow_links)
    ids = [image.id for image in read_images(files, SourceOptions(), told.append)]
    return ids, {Path(str(error).split("'")[1]).name: str(error).split("' ", 1)[1] for error in told}


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("a\nb.png", r"a\nb.png"),
        ("\x1b[31m.png", r"\x1b[31m.png"),
        ("\x7f\x85.png", r"\x7f\x85.png"),
        ("\ufffe\U0001ffff.png", r"\ufffe\U0001ffff.png"),
        ("ä \u2028.png", "ä \u2028.png"),
    ],
)
def test_a_name_with_control_characters_is_sent_as_one_that_a_worker_takes(
    tmp_path: Path, name: str, sent: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / name).write_bytes(b"x")
    with ZipFile(folder / f"{name}.zip", "w") as archive:
        archive.writestr(name, b"y")
    images = read(folder)
    assert sorted(image.id for image in images) == [f"{sent}/{sent}", f"{sent}/{sent}.zip/{sent}"]
    assert read(folder / name)[0].id == sent
    for image in images:
        assert image.name == sent
        key, value, headers = to_message(image)
        event = read_event(
            value,
            [
                (header, content.encode() if isinstance(content, str) else content)
                for header, content in headers
            ],
        )
        assert (event.id, event.subject) == (key.decode(), sent)


def test_of_two_names_that_would_be_one_the_second_is_told(tmp_path: Path) -> None:
    for name in ("a\nb.png", r"a\nb.png"):
        (tmp_path / name).write_bytes(b"x")
    told: list[SourceUnreadable] = []
    assert len(list(read_images(find_files([tmp_path], refuse), SourceOptions(), told.append))) == 1
    assert "give each a name of its own" in str(told[0])


@pytest.fixture
def links(photos: Path, tmp_path: Path) -> Path:
    """A folder with a link of each kind in it."""
    (tmp_path / "password").write_text("secret")
    (photos / "2024" / "round").symlink_to(photos, target_is_directory=True)
    (photos / "c.png").symlink_to("2024/z.png")
    (photos / "dangling.png").symlink_to("nothing")
    (photos / "environ.png").symlink_to("/proc/self/environ")
    (photos / "itself.png").symlink_to("itself.png")
    (photos / "password.png").symlink_to(tmp_path / "password")
    (photos / "steps.png").symlink_to("../password")
    return photos


PLAIN = ["photos/a.png", "photos/b.png", "photos/2024/z.png", "photos/2024/05/y.png"]


def test_links_in_a_folder_are_told_and_not_followed(links: Path) -> None:
    ids, told = read_telling(links, follow_links=False)
    assert ids == PLAIN
    assert set(told) == {
        *("round", "c.png", "dangling.png", "environ.png", "itself.png", "password.png", "steps.png")
    }
    assert told["c.png"] == "was left out: it is a link; --follow-links takes those to files in the folder"
    assert told["round"] == "was left out: it is a link to a folder; give that folder itself"


def test_followed_links_do_not_lead_out_of_the_folder(links: Path) -> None:
    ids, told = read_telling(links, follow_links=True)
    assert sorted(ids) == sorted([*PLAIN, "photos/c.png"])
    outside = "cannot be read: it is a link that leads outside of the folder"
    assert {told[name] for name in ("environ.png", "password.png", "steps.png")} == {outside}


def test_a_file_that_becomes_a_link_after_it_was_found_is_not_followed(links: Path, tmp_path: Path) -> None:
    for follow in (False, True):
        files = [
            file
            for file in find_files([links], lambda _: None, follow_links=follow)
            if file.id in ("photos/a.png", "photos/2024/05/y.png")
        ]
        (links / "a.png").rename(tmp_path / "a.png")
        (links / "a.png").symlink_to(tmp_path / "password")
        (links / "2024").rename(tmp_path / "2024")
        (links / "2024").symlink_to(tmp_path / "2024")
        told: list[SourceUnreadable] = []
        assert list(read_images(files, SourceOptions(), told.append)) == []
        assert len(told) == len(files) == 2
        for name in ("a.png", "2024"):
            (links / name).unlink()
            (tmp_path / name).rename(links / name)


def test_a_label_file_beside_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "idx"
    folder.mkdir()
    (folder / "t-images.idx").write_bytes(b"\0\0\x08\3" + (1).to_bytes(4) * 3 + b"x")
    (tmp_path / "labels").write_bytes(b"\0\0\x08\1" + (1).to_bytes(4) + b"\7")
    (folder / "t-labels.idx").symlink_to(tmp_path / "labels")
    ids, told = read_telling(folder, follow_links=False)
    assert ids == []
    assert "is not followed" in told["t-labels.idx"]


def test_a_link_that_is_given_by_name_is_followed(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(photos)
    (tmp_path / "link.png").symlink_to(photos / "a.png")
    assert [image.id for image in read(tmp_path / "link", tmp_path / "link.png")] == [
        *(name.replace("photos", "link") for name in PLAIN),
        "link.png",
    ]


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(photos: Path) -> None:
    files = [file for file in find_files([photos], refuse) if file.path.name == "a.png"]
    (photos / "a.png").unlink()
    os.mkfifo(photos / "a.png")
    told: list[SourceUnreadable] = []
    assert list(read_images(files, SourceOptions(), told.append)) == []
    assert "it is no regular file" in str(told[0])


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
    [found] = [file for file in find_files([photos], refuse) if file.path.name == "a.png"]
    assert found == FoundFile(photos / "a.png", "photos/a.png", "photos", root=photos)
