"""The console in a browser, over real stores: images are found, seen, corrected, deleted, whatever they say."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chromium
import pytest
import requests
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from typer.testing import CliRunner

from flumen.cli import main
from flumen.cli.background import environment_of
from flumen.interceptor import Batch, Context, ImageMessage, intercept, load_chain, merge_columns
from flumen.models.datasets.idx import read_idx
from flumen.models.repository import Repository
from flumen.stores.kudu import KuduReader, KuduSink
from flumen.stores.solr import SolrReader, SolrSink
from flumen.streams.settings import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Page

DATA = Path(__file__).parents[2] / "data" / "mnist"
DIGITS = 60
EVIL = "<script>alert(1)</script>\u202e\"'>& /../é#?%00"
LONG = "n" * 4_096
TITLE = '"><img src=x onerror=alert(2)>\u202e\u2066' + "t" * 5_000


def png(pixels: Any, title: str = "") -> bytes:
    about = PngInfo()
    if title:
        about.add_itxt("Title", title)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=about)
    return buffer.getvalue()


def messages() -> list[ImageMessage]:
    """Sixty digits, of which two are hostile in all that they say, and their known classes."""
    pixels = read_idx(DATA / "t10k-images-idx3-ubyte.gz")[:DIGITS]
    labels = read_idx(DATA / "t10k-labels-idx1-ubyte.gz")[:DIGITS]
    digits = [
        ImageMessage(
            f"digit-{at:02}", png(each), 1, name=f"{at}.png", source="scans", known_label=int(labels[at])
        )
        for at, each in enumerate(pixels)
    ]
    digits[0] = ImageMessage(EVIL, png(pixels[0], TITLE), 1, name=LONG, source=EVIL, known_label=7)
    digits[1] = ImageMessage("gif", _gif(pixels[1]), 1, name=EVIL, source="=1+1")
    return digits


def _gif(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "GIF")
    return buffer.getvalue()


@pytest.fixture
def stored(settings: Settings) -> list[str]:
    """The ids of the images, which are in both stores."""
    chain = load_chain()
    columns = merge_columns(step.columns for step in chain)
    model = Repository(settings.model_repository).load("mnist", 1)
    result = intercept(Batch(messages()), Context(model, 1_700_000_000_000_000), chain)
    assert not result.errs
    for sink in (KuduSink(settings.kudu_options(), columns), SolrSink(settings.solr_options(), columns)):
        sink.connect()
        assert not sink.write(result.oks)
        sink.close()
    reader = SolrReader(settings.solr_options())
    reader.commit()
    reader.close()
    return [image.id for image in result.oks.images]


@pytest.fixture
def console(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Start consoles, with settings by environment names; return what each says that its address is."""
    started: list[subprocess.Popen[str]] = []

    def start(**more: str) -> str:
        names = {f"FLUMEN_{name.upper()}": value for name, value in more.items()}
        process = subprocess.Popen(
            [sys.executable, "-m", "flumen", "console"],
            env={**os.environ, **environment_of(settings)}
            | {"FLUMEN_CONSOLE_PORT": "0", "COLUMNS": "500"}
            | names,
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.search(r"http://\S+", said)
        assert found, said + process.stderr.read()
        return found[0]

    yield start
    for process in started:
        process.terminate()
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
        process.stderr.close()


def opened(open_page: Callable[..., "Page"], link: str, **look: Any) -> "Page":
    """A window in which somebody has signed in; all that it asks for is the console's."""
    base, _, query = link.partition("/sign-in")
    page = open_page(base + "/sign-in" if look.get("scripts") is False else base, **look)
    page.goto(f"{base}/sign-in{query}")
    return page


def go(page: "Page", path: str) -> None:
    """Open another page of the console."""
    page.goto(re.sub(r"^(http://[^/]+).*", r"\1", page.url) + path)


def test_a_person_finds_an_image_corrects_it_and_deletes_it(
    stored: list[str], console: Callable[..., str], open_page: Callable[..., "Page"], settings: Settings
) -> None:
    page = opened(open_page, console())
    assert page.get_by_role("heading", name="Images").is_visible()
    assert "60 images, 1 to 48 shown" in page.inner_text("main")
    page.get_by_role("link", name="Further in this order").click()
    assert "49 to 60 shown" in page.inner_text("main")
    page.get_by_role("link", name=re.compile("^GIF")).click()
    assert "1 image, 1 to 1 shown" in page.inner_text("main")
    page.get_by_role("link", name=re.compile("take back")).click()
    page.get_by_label("Query").fill("knownlabel:7 AND source:scans")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url(re.compile("q=knownlabel"))
    with KuduReaderOpened(settings) as kudu:
        sevens = [each for each in stored if (kudu.get(each) or {}).get("knownlabel") == 7 and each != EVIL]
        assert page.locator(".gallery li").count() == len(sevens)
        page.get_by_role("link", name=re.compile(sevens[0])).click()
        assert page.locator("h1").inner_text() == sevens[0]
        assert page.locator(".bars tr").count() >= 10
        for picture in page.locator("img.picture").all():
            assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 28

        page.get_by_label("It is").select_option("3")
        page.get_by_label("Why").first.fill("looked at it")
        page.get_by_role("button", name="Correct it").click()
        assert page.get_by_role("status").is_visible()
        assert "looked at it" in page.inner_text("section[aria-labelledby=known]")
        assert (kudu.get(sevens[0]) or {})["knownlabel"] == 3
        go(page, f"/images?f=knownlabel:3&q=id:{sevens[0]}")
        assert page.locator(".gallery li").count() == 1

        page.locator(".gallery a").click()
        page.get_by_role("link", name="Delete this image…").click()
        page.get_by_label("Why").fill("asked for by whom it shows")
        page.get_by_role("button", name="Delete it").click()
        assert "is gone from every store" in page.inner_text("main")
        assert kudu.get(sevens[0]) is None
    go(page, "/images")
    assert "59 images" in page.inner_text("main")


class KuduReaderOpened:
    """A reader for the length of a block."""

    def __init__(self, settings: Settings) -> None:
        self._reader = KuduReader(settings.kudu_options())

    def __enter__(self) -> KuduReader:
        return self._reader

    def __exit__(self, *_: object) -> None:
        self._reader.close()


def test_hostile_images_are_shown_on_pages_that_everybody_can_use(
    stored: list[str], console: Callable[..., str], open_page: Callable[..., "Page"]
) -> None:
    """At four widths, light and dark: nothing runs, nothing overflows, nothing that axe-core finds fault with."""
    link = console()
    for width, colours, scripts in [
        (360, "light", True),
        (1400, "dark", True),
        (3840, "light", True),
        (800, "dark", False),
    ]:
        page = opened(open_page, link, width=width, colours=colours, scripts=scripts)
        assert page.locator(".gallery li").count() == 48
        go(page, "/images?q=-source:scans AND format:PNG")
        page.locator(".gallery a").first.click()
        assert "<script>alert(1)</script>" in page.inner_text("h1")
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        for path in ("", "/images", "/images?start=48", "/images?q=label:[", "/sign-in"):
            if path:
                go(page, path)
            if scripts:
                assert page.evaluate(overflow) <= 0, (width, path)
                assert chromium.findings(page) == [], (width, path)


def test_who_may_not_does_not(
    stored: list[str],
    console: Callable[..., str],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    tokens = tmp_path / "tokens.json"
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FLUMEN_CONSOLE_TOKENS", str(tokens))
    made = {
        role: CliRunner().invoke(main.app, ["console", "token", role, "--role", role]).stdout.strip()
        for role in ("viewer", "operator")
    }
    base = console(console_tokens=str(tokens)).rstrip("/")

    def ask(path: str, role: str = "", method: str = "GET", **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {made.get(role, role)}"} if role else {}
        return requests.request(
            method,
            base + path,
            headers=headers | more.pop("headers", {}),
            timeout=60,
            allow_redirects=False,
            **more,
        )

    # Nobody comes in unknown, under another name, or from another site.
    assert ask("/api/v1/images").status_code == 401
    assert ask("/api/v1/images", "flumen_forged").status_code == 401
    assert ask("/images?q=1").headers["location"] == "/sign-in?back=%2Fimages%3Fq%3D1"
    assert ask("/images", "viewer", headers={"Host": "evil.example"}).status_code == 400
    changing = {"method": "POST", "json": {"id": "digit-05", "label": "3", "reason": ""}}
    assert (
        ask(
            "/api/v1/image/label", "operator", headers={"Sec-Fetch-Site": "cross-site"}, **changing
        ).status_code
        == 403
    )
    # A viewer looks, an operator changes; what is wrong is said.
    assert ask("/api/v1/images", "viewer").json()["total"] == DIGITS
    refused = ask("/api/v1/image/label", "viewer", **changing)
    assert (refused.status_code, "may look and change nothing" in refused.json()["error"]) == (403, True)
    assert ask("/image/delete?id=digit-05", "viewer").status_code == 403
    assert ask("/api/v1/image/label", "operator", **changing).json() == {"id": "digit-05", "label": "3"}
    whole = ask("/api/v1/image", "viewer", params={"id": "digit-05"}).json()
    assert (whole["columns"]["knownlabel"], whole["corrections"][0]["by"]) == (3, "operator")
    for sent, status in [
        ({"json": {"id": "none", "label": "3"}}, 404),
        ({"json": {"id": "digit-05", "label": "cat"}}, 400),
        ({"json": {"id": "digit-05", "label": 3}}, 400),
        ({"json": ["id"]}, 400),
        ({"data": b"{" * 70_000, "headers": {"Content-Type": "application/json"}}, 400),
        ({"data": {"id": "digit-05"}}, 400),
    ]:
        answer = ask("/api/v1/image/label", "operator", "POST", **sent)
        assert (answer.status_code, set(answer.json())) == (status, {"error"}), sent
    assert (
        ask("/api/v1/image/delete", "operator", "POST", json={"id": "digit-05", "reason": " "}).status_code
        == 400
    )
    # Bytes from outside are sent so that nothing in them runs.
    picture = ask("/image/original", "viewer", params={"id": EVIL})
    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["content-security-policy"].endswith("sandbox")
    for path in ("/images", "/static/console.js", "/none", "/api/v1/images"):
        headers = ask(path, "viewer").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
    # Exports hold what was found; an id may not become a formula.
    assert set(ask("/images/export?format=ids", "viewer").text.split("\n")) >= {"digit-05", "gif"}
    lines = ask("/images/export?format=jsonl&q=-source:scans AND format:PNG", "viewer").text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [EVIL]
    # Whose token is taken away is out.
    assert CliRunner().invoke(main.app, ["console", "token", "viewer", "--remove"]).exit_code == 0
    assert ask("/api/v1/images", "viewer").status_code == 401


def test_a_store_that_is_down_is_said_to_be_and_the_other_is_still_shown(
    stored: list[str], console: Callable[..., str], port: int
) -> None:
    link = console(solr_url=f"http://127.0.0.1:{port}/solr", console_timeout_s="60")
    base, _, _ = link.partition("/sign-in")
    token = link.partition("token=")[2]
    headers = {"Authorization": f"Bearer {token}"}
    found = requests.get(f"{base}/api/v1/images", headers=headers, timeout=60)
    assert found.status_code == 503
    assert "Solr" in found.json()["error"]
    one = requests.get(f"{base}/api/v1/image", {"id": "digit-05"}, headers=headers, timeout=60)
    assert one.json()["columns"]["source"] == "scans"
    assert (
        requests.get(f"{base}/image/view", {"id": "digit-05"}, headers=headers, timeout=60).content[:4]
        == b"\x89PNG"
    )


def test_it_does_not_start_where_others_could_come_in_without_a_token(
    settings: Settings, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flumen", "console"],
        env={**os.environ, **environment_of(settings)}
        | {"FLUMEN_CONSOLE_HOST": "0.0.0.0", "FLUMEN_HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert "flumen console token NAME --role operator" in " ".join(done.stderr.split())
    assert os.fspath(tmp_path) not in done.stdout
