"""The console in a browser, over real stores: images are found, seen, corrected, deleted, whatever they say."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import chromium
import pytest
import requests
from console_served import EVIL, served
from typer.testing import CliRunner

from flumen.cli import main
from flumen.cli.background import environment_of
from flumen.console.access import Person, Role
from flumen.console.access.gate import Gate
from flumen.console.access.tokens import fingerprint
from flumen.stores.kudu import KuduReader
from flumen.streams.settings import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Page

TOKEN = "flumen_of-whoever-started-it"
WHOEVER = Gate(None, (fingerprint(TOKEN), Person("eva", Role.OPERATOR)))
ONE_EVIL = f"/image?id={quote(EVIL, safe='')}"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass(frozen=True)
class Scene:
    """Images in both stores, and the console over them."""

    settings: Settings
    base: str


@pytest.fixture(scope="module")
def scene(console_settings: Settings) -> Iterator[Scene]:
    with served(console_settings, WHOEVER) as base:
        yield Scene(console_settings, base)


def opened(open_page: Callable[..., "Page"], scene: Scene, path: str = "/images", **look: Any) -> "Page":
    """A window in which somebody has signed in; all that it asks for is the console's."""
    page = open_page(scene.base, **look)
    page.goto(f"{scene.base}/sign-in?token={TOKEN}&back={quote(path, safe='')}")
    assert TOKEN not in page.url
    return page


def go(page: "Page", path: str) -> None:
    """Open another page of the console."""
    page.goto(re.sub(r"^(http://[^/]+).*", r"\1", page.url) + path)


def test_a_person_finds_an_image_corrects_it_and_deletes_it(
    scene: Scene, open_page: Callable[..., "Page"]
) -> None:
    page = opened(open_page, scene)
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
    assert "min." not in page.url
    with closing(KuduReader(scene.settings.kudu_options())) as kudu:
        sevens = [each.inner_text() for each in page.locator(".gallery .id").all()]
        assert sevens
        assert {(kudu.get(each) or {})["knownlabel"] for each in sevens} == {7}
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
    # Signed out, and out for good: a copy of the cookie opens nothing.
    [cookie] = page.context.cookies()
    page.get_by_role("button", name="Sign out").click()
    assert page.get_by_label("Your token").is_visible()
    copy = {"Cookie": f"{cookie.get('name')}={cookie.get('value')}"}
    assert requests.get(f"{scene.base}/api/v1/images", headers=copy, timeout=60).status_code == 401


def test_numbers_times_and_places_are_chosen_and_pictures_like_one_are_shown(
    scene: Scene, open_page: Callable[..., "Page"]
) -> None:
    page = opened(open_page, scene, "/images?q=model:mnist AND source:cameras")
    found = page.locator(".above strong")
    assert found.inner_text() == "4"
    # Sweeping over the bars chooses a span: the two of Sydney and Berlin differ in their aperture.
    aperture = page.locator("details.range", has_text="Aperture")
    aperture.locator("summary").first.click()
    plot = aperture.locator("svg")
    box = plot.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.6, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, middle)
    page.mouse.up()
    page.wait_for_url(re.compile("min.aperture=3.*max.aperture=3.5"))
    assert found.inner_text() == "2"
    page.get_by_role("link", name=re.compile("Aperture.*take back")).click()
    # From the world to Berlin, by the table behind the map.
    page.get_by_text("4 images with a place").click()
    assert page.locator("svg.world a").count() == 3
    page.locator("details.map").get_by_text("As a table").click()
    page.get_by_role("link", name=re.compile(r"^52.*° N, 1\d.*° E$")).click()
    page.wait_for_url(re.compile("box="))
    assert found.inner_text() == "2"
    go(page, "/images?min.taken_at=2024-06-01&max.taken_at=2024-06-01&box=-10,40,10,60")
    assert found.inner_text() == "1"
    go(page, "/image?id=digit-05")
    like = page.locator("section[aria-labelledby=alike]")
    assert "twin/../of 5" in like.inner_text()
    like.get_by_role("link", name=re.compile("twin")).click()
    assert page.locator("h1").inner_text() == "twin/../of 5"


def test_hostile_images_are_shown_on_pages_that_everybody_can_use(
    scene: Scene, open_page: Callable[..., "Page"]
) -> None:
    """From 360 to 3840 pixels, light and dark: nothing runs, nothing overflows, axe-core finds nothing."""
    views = ("/images?box=-180,-90,180,90&min.confidence=0.1&f=format:PNG", "/images?q=label:[", "/sign-in")
    for width, colours, scripts in [(360, "light", True), (3840, "dark", True), (800, "dark", False)]:
        page = opened(open_page, scene, ONE_EVIL, width=width, colours=colours, scripts=scripts)
        assert "<script>alert(1)</script>" in page.inner_text("h1")
        for path in ("", *(views if width < 1000 else views[:1])):
            if path:
                go(page, path)
            if scripts:
                assert page.evaluate(OVERFLOW) <= 0, (width, path)
                assert chromium.findings(page) == [], (width, path)
    go(page, "/images?q=-source:scans AND format:PNG AND -source:cameras")
    assert page.locator(".gallery li").count() == 1


def test_a_store_that_is_down_is_said_to_be_and_the_other_is_still_shown(scene: Scene, port: int) -> None:
    down = scene.settings.model_copy(
        update={"solr_url": f"http://127.0.0.1:{port}/solr", "console_timeout_s": 60.0}
    )
    with served(down, WHOEVER) as base, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        found = session.get(f"{base}/api/v1/images", timeout=60)
        assert found.status_code == 503
        assert "Solr" in found.json()["error"]
        one = session.get(f"{base}/image", params={"id": "digit-05"}, timeout=60)
        assert one.status_code == 200
        assert "scans" in one.text
        assert "Solr" in one.text
        assert (
            session.get(f"{base}/image/view", params={"id": "digit-05"}, timeout=60).content[:4] == b"\x89PNG"
        )


def test_the_command_says_where_it_is_lets_in_whoever_started_it_and_stops(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**environment_of(scene.settings), "FLUMEN_CONSOLE_PORT": "0", "COLUMNS": "500"}
    process = subprocess.Popen(
        [sys.executable, "-m", "flumen", "console"],
        env={**os.environ, **environment},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    # Meanwhile: it does not start where others could come in without a token.
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FLUMEN_CONSOLE_HOST", "0.0.0.0")
    refused = CliRunner().invoke(main.app, ["console"])
    assert "flumen console token NAME --role operator" in str(refused.exception)
    assert process.stderr is not None
    said = process.stderr.readline()
    found = re.search(r"http://\S+", said)
    assert found, said + process.stderr.read()
    with requests.Session() as session:
        page = session.get(found[0], timeout=60)
        assert (page.status_code, page.url.partition("?")[0][-7:]) == (200, "/images")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
