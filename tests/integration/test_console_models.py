"""Models in the console, over a real worker under load: looked at, swapped, refused, taken back, by who may."""

import json
import re
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chromium
import pytest
import requests
from console_process import ConsoleProcess, running_console
from encoded_images import encoded
from PIL import Image
from steady_load import steady_load

from flumen.models.datasets.idx import read_idx
from flumen.models.experiments.run import Measures, Round, Run, to_row
from flumen.models.repository import CHAMPION, MODEL_FILE, Repository
from flumen.models.shipped import SHIPPED, seed
from flumen.replay.impact.kept import ImpactRecord, ImpactRecords
from flumen.stores.kudu import KuduRuns
from flumen.streams.control.keys import new_key_pair
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.settings import Settings
from flumen.streams.wire import SourceImage

if TYPE_CHECKING:
    from playwright.sync_api import Page

EXPERIMENT = "<script>alert(2)</script>/%2e./?a#\u202e"
EVIL = "<script>alert(1)</script>\u202e\"'>&{{7*7}}" + "x" * 400


@pytest.fixture
def flumen_models_root(tmp_path: Path) -> Path:
    """A repository of the test's own: swaps set its alias. Of `mnist` it has a third version."""
    root = tmp_path / "models"
    repository = Repository(str(root))
    seed(repository)
    content = (SHIPPED / "mnist" / "1" / MODEL_FILE).read_bytes()
    assert repository.register(content, repository.manifest("mnist", 1)) == 3
    repository.set_alias("mnist", CHAMPION, 1)
    return root


@pytest.fixture
def worker_root(flumen_models_root: Path, tmp_path: Path) -> Path:
    """The worker's copy of it, whose third version is damaged."""
    copy = tmp_path / "copy"
    shutil.copytree(flumen_models_root, copy)
    damaged = copy / "mnist" / "3" / MODEL_FILE
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    return copy


def swap(page: "Page", link: str, reason: str, *, refused: bool = False) -> str:
    """Ask for a swap on the page of models, and return what came of it once it is over."""
    page.get_by_role("link", name=link, exact=True).first.click()
    page.get_by_label("Reason").fill(reason)
    for box in page.get_by_label("though it scored less than the champion").all():
        box.check()
    page.locator("main form button").click()
    page.locator("[data-over]").wait_for(timeout=60_000)
    said = page.inner_text("#outcome")
    assert page.locator(".wrong").count() == int(refused), said
    page.get_by_role("link", name="To the models").click()
    return said


def keep_runs_and_an_impact(settings: Settings) -> None:
    """Four runs of an experiment with a hostile name, and what would change from `mnist@1` to `mnist@2`."""
    table = KuduRuns(settings.kudu_options())
    for rate in (0.001, 0.01, 0.1, 1.0):
        measures = Measures(rate / 2, rate / 2, rate / 2, rate / 2)
        run = Run(
            run_id=f"10_1_{rate}",
            data_sha256="d" * 64,
            experiment=EXPERIMENT,
            outputs=10,
            seed=1,
            parameters={"rate": rate},
            state="done",
            validation=measures,
            curves=(Round(1, 0.5, rate / 4, 1.0), Round(2, 0.4, rate / 2, 2.0)),
            model="mnist",
            model_version=1,
        )
        assert table.insert(to_row(run))
    table.close()
    repository = Repository(settings.model_repository)
    old, new = (repository.manifest("mnist", version) for version in (1, 2))
    record = ImpactRecord(
        schema=1,
        old=str(old),
        old_sha256=old.sha256,
        new=str(new),
        new_sha256=new.sha256,
        snapshot_us=time.time_ns() // 1000,
        images=500,
        population=2000,
        agreement=0.97,
        labelled=400,
        difference=0.01,
        difference_low=-0.005,
        difference_high=0.02,
    )
    ImpactRecords(repository.url).keep(old, new, record)


def looked_at(page: "Page", console: ConsoleProcess, *paths: str) -> None:
    """Nothing overflows, and axe-core finds no fault."""
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for path in paths:
        page.goto(console.address + path)
        assert page.evaluate(overflow) <= 0, path
        assert chromium.findings(page) == [], path


def test_an_operator_looks_swaps_is_refused_and_rolls_back_while_images_flow(
    settings: Settings,
    start_worker: Callable[..., Any],
    worker_root: Path,
    flumen_models_root: Path,
    wait_until: Callable[..., Any],
    observer: Any,
    mnist: Path,
    open_page: Callable[..., "Page"],
    tmp_path: Path,
) -> None:
    ensure_topics(settings)
    keep_runs_and_an_impact(settings)
    worker = start_worker(worker_id="w1", heartbeat_s=0.5, prepare_share=1, models_root=str(worker_root))
    digit = encoded(Image.fromarray(read_idx(mnist / "t10k-images-idx3-ubyte.gz")[0]))

    def image(number: int) -> SourceImage:
        return SourceImage(f"d{number}", digit, "", "", "image/png", None, datetime.now(UTC))

    with running_console(settings, tmp_path) as console, steady_load(settings, image, rate=50) as sent:
        worker.wait_for_line("worker is ready")
        page = console.opened(open_page, "operator", "/models")
        page.get_by_role("row", name=re.compile("^w1 serving mnist@1")).wait_for()
        experiment = _one_looks(page, console)
        page.goto(f"{console.address}/models")
        _and_swaps(page)
        assert Repository(str(flumen_models_root)).alias("mnist", CHAMPION) == 1
        ways = ("/models", "/models/mnist@2", "/models/compare?a=mnist@1&b=mnist@2")
        ways += (experiment, "/impact", "/drift?model=mnist@1&window=1h&days=1")
        ways += ("/models/swap?do=activate&model=mnist&version=2",)
        looked_at(page, console, *ways)
        looked_at(
            console.opened(open_page, "viewer", "/models", width=360, colours="dark"), console, *ways[:-2]
        )
        alone = console.ask("viewer", f"{experiment}?alone=yes").headers["content-security-policy"]
        assert alone.startswith(
            "sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'sha256-"
        )
        _who_may_not_and_what_is_wrong(console)
        _what_programs_see(console)
    wait_until(
        lambda: observer.progress(settings.images_topic).acknowledged == sent[0], "all images", worker.check
    )


def _one_looks(page: "Page", console: ConsoleProcess) -> str:
    """At a version, behind a cell of its confusion, at two of them, at an experiment; return where that is."""
    page.get_by_role("link", name="mnist@2", exact=True).click()
    golden = page.locator(".golden img").first
    golden.scroll_into_view_if_needed()
    assert golden.evaluate("image => image.decode().then(() => image.naturalWidth)") == 28
    page.get_by_role("link", name=re.compile("^4 taken for 9")).click()
    assert "f=knownlabel%3A4&f=label%3A9&f=model_version%3A2" in page.url
    assert page.get_by_label("Query").input_value() == 'model:"mnist"'
    page.goto(f"{console.address}/models")
    page.get_by_role("link", name="Compare mnist@2 with the champion").click()
    assert "97.00 % of 500 images, a sample of 2,000" in page.inner_text("main")
    page.goto(f"{console.address}/experiments")
    page.get_by_role("link", name=re.compile("alert")).click()
    assert EXPERIMENT[:25] in page.inner_text("h1")
    assert page.locator("svg.plot").count() >= 3
    return page.url.removeprefix(console.address)


def _and_swaps(page: "Page") -> None:
    assert re.search("mnist@2 classifies on 1 worker since revision 2", swap(page, "Activate mnist@2", EVIL))
    first = page.locator("tbody tr", has=page.get_by_role("link", name="mnist@2", exact=True)).first
    assert "champion" in first.inner_text()
    trail = page.get_by_role("group", name="Audit trail of mnist").inner_text()
    assert "champion 1 → 2" in trail
    assert "operator.of.it" in trail
    assert "<script>alert(1)</script>" in trail
    said = swap(page, "Activate mnist@3", "it may be better", refused=True)
    assert "WorkerRefused: 1 of 1 workers refused" in said
    assert "w1: ModelCorrupt" in said
    assert "mnist@1 is ready on 1 worker" in swap(page, "Prepare mnist@1", "to be quick then")
    assert "mnist@1 classifies on 1 worker" in swap(page, "Roll mnist back…", "worse on nines")


def _who_may_not_and_what_is_wrong(console: ConsoleProcess) -> None:
    asked = {"do": "activate", "model": "mnist", "version": 2, "reason": "because"}

    def begun(role: str, **other: Any) -> requests.Response:
        return console.ask(role, "/api/v1/model/swap", "POST", json=asked | other)

    refused = begun("viewer")
    assert (refused.status_code, "may look and change nothing" in refused.json()["error"]) == (403, True)
    assert console.ask("viewer", "/models/swap?do=activate&model=mnist&version=2").status_code == 403
    assert "Activate" not in console.ask("viewer", "/models").text
    for other in (
        {"do": "explode"},
        {"model": EVIL},
        {"model": "../etc"},
        {"version": 0},
        {"version": [2]},
        {"reason": " "},
        {"reason": "r" * 1001},
    ):
        assert begun("operator", **other).status_code == 400, other
    for reference, status in (
        (EVIL.replace("/", ""), 400),
        ("mnist@9", 404),
        ("none", 404),
        ("mnist@" + "9" * 400, 400),
    ):
        answer = console.ask("viewer", f"/models/{requests.utils.quote(reference, safe='')}")
        assert (answer.status_code, "<script>a" in answer.text) == (status, False), reference
    assert console.ask("viewer", "/models/swaps/none").status_code == 404
    assert console.ask("operator", "/models/mnist@2/golden?n=900").status_code == 404


def _what_programs_see(console: ConsoleProcess) -> None:
    answer = console.ask("viewer", "/api/v1/models").json()
    roles = {f"{row['model']}@{row['version']}": (row["roles"], row["workers"]) for row in answer["models"]}
    assert roles["mnist@1"] == (["champion"], ["w1"])
    assert answer["fleet_unknown"] is None
    while "Kudu has not said so yet" in (shown := console.ask("viewer", "/models/mnist@1").text):
        pass  # each asks for three seconds
    assert "10_1_0.001" in shown
    whole = console.ask("viewer", "/api/v1/model", params={"reference": "mnist@2"}).json()
    assert (len(whole["confusion"]), len(whole["labels"])) == (10, 10)
    fleet = console.ask("viewer", "/api/v1/model/fleet", params={"name": "mnist"}).json()
    assert fleet["workers"][0]["model"] == "mnist@1"
    trail = console.ask("viewer", "/api/v1/model/trail", params={"name": "mnist"}).json()
    assert [each["command"] for each in trail["changes"]][:3] == ["rollback", "rollback", "activate"]
    assert {each["by"] for each in trail["changes"]} == {"operator.of.it"}
    described = console.ask("viewer", "/api/v1/openapi.json").json()["paths"]
    for path, methods in described.items():
        if "get" in methods and not path.endswith("/events"):  # a stream, which has no end
            status = console.ask("viewer", path).status_code
            assert str(status) in methods["get"]["responses"], path
    # What an impact is required of is refused without one.
    asked = {"do": "activate", "model": "mnist", "version": 2, "reason": "b", "needs_impact": True}
    begun = console.ask("operator", "/api/v1/model/swap", "POST", json=asked)
    assert begun.status_code == 202
    swap = begun.json()
    while swap["state"] == "running":
        swap = console.ask("viewer", "/api/v1/model/swap", params={"id": swap["id"]}).json()
    assert swap["refused"].startswith("ImpactInsufficient: the impact of mnist@2 is of 500 images")


def test_without_a_key_nobody_swaps_and_without_kafka_models_are_shown(
    settings: Settings, tmp_path: Path, port: int
) -> None:
    keys = {"control_public_keys": json.dumps([new_key_pair().public])}
    with running_console(settings, tmp_path, kafka_servers=f"127.0.0.1:{port}", **keys) as console:
        shown = console.ask("operator", "/models").text
        assert "Nobody can swap here" in shown
        assert "FLUMEN_CONTROL_PRIVATE_KEY_FILE" in shown
        assert "What the workers run is not known" in shown
        assert "mnist@2" in shown
        assert "Activate" not in shown
        asked = {"do": "rollback", "model": "mnist", "reason": "because"}
        refused = console.ask("operator", "/api/v1/model/swap", "POST", json=asked)
        assert (refused.status_code, "there is no key to sign with" in refused.json()["error"]) == (403, True)
