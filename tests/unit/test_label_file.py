"""A CSV file of labels: all of it is checked, and what is wrong is named by its line."""

import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flumen.replay.corrections import read_labels
from flumen.replay.corrections.label_file import STANDARD_INPUT, numbered
from flumen.replay.corrections.stored import Answered, class_numbers, number_of_class
from flumen.replay.errors import BadCorrection


@pytest.mark.parametrize(
    "content",
    [
        b"id,label\na,7\nb,cat\n",
        b"\xef\xbb\xbfid,label\r\na,7\r\n\r\nb, cat \r\na,7\r\n",
        b'note,label,id\n"x, y",7,a\n,cat,b\n',
    ],
)
def test_labels_are_read_by_the_names_of_the_columns(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "labels.csv"
    file.write_bytes(content)
    assert read_labels(file) == {"a": "7", "b": "cat"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "columns of none"),
        (b"a,7\nb,8\n", "columns a, 7, and needs one 'id'"),
        (b"id,label,id\na,7,b\n", "needs one 'id'"),
        (b"id;label\na;7\n", "columns id;label,"),
        (b"id,label\n", "nothing to correct"),
        (b"id,label\na,7\nb\n", "line 3: 1 cell for 2 columns"),
        (b"id,label\na,7\n,8\nc,\n", "line 3: no id\nline 4: no label for 'c'"),
        (b"id,label\na,7\nb,1\na,8\n", "line 4: 'a' is '8' here and '7' in line 2"),
        (b"id,label\na,7\nb,\xff\n", "not UTF-8 in line 3"),
        (b'id,label\n"a,7\n', "no CSV file: line 2"),
        (b"id,label\n" + b"".join(b"x%d\n" % n for n in range(30)), "and 20 more"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_counts(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "labels.csv"
    file.write_bytes(content)
    with pytest.raises(BadCorrection) as raised:
        read_labels(file)
    assert said in str(raised.value)


def test_what_can_be_read_only_once_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"id,label\na,7\n")))
    assert read_labels(STANDARD_INPUT) == {"a": "7"}
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(pipe.write_bytes, b"id,label\na,\xff\n")
        with pytest.raises(BadCorrection, match="not UTF-8 in line 2"):
            read_labels(pipe)


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(BadCorrection, match="more than 256 MiB"):
        read_labels(Path("/dev/zero"))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadCorrection, match="cannot be read: No such file"):
        read_labels(tmp_path / "nowhere.csv")


def test_a_label_is_the_name_of_a_class_or_its_number() -> None:
    digits = tuple("0123456789")
    assert [number_of_class(text, digits) for text in ("7", "0", "007")] == [7, 0, 7]
    assert number_of_class("dog", ("cat", "dog")) == 1
    assert number_of_class("1", ("cat", "dog")) == 1
    for text in ("", "10", "-1", "1.0", "\u00b2", "elephant", "9" * 10_000):
        with pytest.raises(BadCorrection, match="is no class of its model") as raised:
            number_of_class(text, digits)
        assert len(str(raised.value)) < 300
    moved = ("1", "2", "3")
    with pytest.raises(BadCorrection, match="the name of class 0, and the number of '2'"):
        number_of_class("1", moved)
    assert number_of_class("1", moved, by_number=True) == 1
    assert number_of_class("3", moved) == 2


def test_every_image_that_cannot_be_labelled_is_named() -> None:
    stored = {"a": Answered("mnist", 2), "b": Answered(None, None)}
    number_of = class_numbers(stored, lambda _name, _version: ("no", "yes"))
    assert numbered({"a": "yes"}, number_of, "f.csv") == {"a": 1}
    with pytest.raises(BadCorrection) as raised:
        numbered({"a": "maybe", "b": "yes", "c": "yes"}, number_of, "f.csv")
    said = str(raised.value)
    assert "'f.csv' is not used, and nothing is changed" in said
    assert "image 'a': 'maybe' is no class" in said
    assert "image 'b' was answered by no model" in said
    assert "image 'c' is not stored" in said
