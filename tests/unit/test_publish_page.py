"""docs/publish.md: its Python runs, and what every example sets is what `flumen.streams.events` reads."""

import base64
import json
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flumen.streams.events import _READ_HEADERS
from flumen.streams.kafka.message import RawMessage
from flumen.streams.settings import Settings
from flumen.streams.wire import to_image

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "publish.md").read_text()
EXAMPLES = dict(re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL))
SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
LANGUAGES = {
    title: text for title, _, text in (section.partition("\n") for section in SECTIONS) if "```" in text
}


@pytest.fixture(scope="module")
def program() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "publish"}
    exec(compile(EXAMPLES["python"], "publish.py", "exec"), names)
    return names


def test_the_python_example_makes_a_message_that_is_read_without_a_defect(
    program: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"the bytes of an image")
    headers_of: Callable[[Path], dict[str, bytes]] = program["headers_of"]
    headers = headers_of(path)
    assert headers.keys() <= _READ_HEADERS
    image = to_image(
        RawMessage("images", 0, 0, b"photo.png", path.read_bytes(), tuple(headers.items()), 0), arrived_at=0
    )
    assert image.defect is None
    assert (image.id, image.source, image.name) == ("photo.png", "/camera/1", "photo.png")
    assert image.event_time is not None


def test_librdkafka_takes_what_the_python_example_sets(program: dict[str, Any]) -> None:
    program["Producer"]({"bootstrap.servers": "127.0.0.1:1"} | program["LIMITS"])


def test_there_are_the_four_languages() -> None:
    assert list(LANGUAGES) == ["Python", "Java", "kcat", "curl"]


@pytest.mark.parametrize("language", ["Python", "Java", "kcat", "curl"])
def test_every_header_that_an_example_sets_is_one_that_is_read(language: str) -> None:
    named = set(re.findall(r"\bce_\w+", LANGUAGES[language]))
    assert {"ce_specversion", "ce_id", "ce_source"} <= named <= _READ_HEADERS


def test_what_curl_sends_is_an_image_with_its_headers(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(300_000)
    (tmp_path / "photo.png").write_bytes(content)
    lines = LANGUAGES["curl"].split("```sh\n")[1].splitlines()
    first, last = lines.index("{"), next(at for at, line in enumerate(lines) if line.startswith("} | curl"))
    script = "\n".join([next(line for line in lines if line.startswith("b64()")), *lines[first:last], "}"])
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, check=True)
    sent = json.loads(done.stdout)
    assert decoded(sent["key"]["data"]) == b"photo.png"
    assert decoded(sent["value"]["data"]) == content
    headers = tuple((header["name"], decoded(header["value"])) for header in sent["headers"])
    image = to_image(RawMessage("images", 0, 0, b"photo.png", content, headers, 0), arrived_at=0)
    assert image.defect is None
    assert (image.id, image.source, image.name) == ("photo.png", "/camera/1", "photo.png")


def decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def test_the_table_of_headers_is_what_is_read() -> None:
    assert set(re.findall(r"^\| `([a-z_-]+)` \|", PAGE, re.MULTILINE)) == _READ_HEADERS


def test_the_size_in_the_examples_is_the_size_that_topics_take() -> None:
    default = Settings.model_construct(max_image_bytes=Settings.model_fields["max_image_bytes"].default)
    sizes = {int(number) for number in re.findall(r"\b\d{8}\b", PAGE)}
    assert sizes == {default.max_message_bytes}
