"""A challenger in shadow, on the real stores."""

import io
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from PIL import Image
from swap_models import never_ending_for_black, no_distribution_for_white, register
from swap_scene import Scene, stored_rows

from flumen.interceptor.preprocess import to_tensor
from flumen.stores.kudu import KuduReader
from flumen.stores.solr import SolrReader
from flumen.streams.control.records import ModelRef
from flumen.streams.wire import SourceImage

PREDICTIONS = ["id", "model_version", "prediction", "confidence"]


@pytest.fixture
def solr(scene: Scene) -> Iterator[SolrReader]:
    reader = SolrReader(scene.settings.solr_options())
    yield reader
    reader.close()


def offline(scene: Scene, ref: ModelRef) -> Any:
    model = scene.repository.load("mnist", ref.version)
    return model.probabilities(to_tensor(scene.digits.pixels, model.preprocess))


def test_a_challenger_answers_beside_the_champion(
    scene: Scene, kudu: KuduReader, solr: SolrReader, port: int, wait_until: Any
) -> None:
    """Its answers are in `predictions` alone, and Solr and the metrics say where it disagrees."""
    second = scene.model(2)
    worker = scene.start(max_batch_size=50, shadow_sample=1.0, http_port=port)
    scene.operator.write(scene.shipped, challenger=second)
    scene.wait_for_status(lambda status: status.challenger == second, "the challenger")

    def all_answered() -> bool:
        scraped = _metrics(port)
        lost = sum(value for name, value in scraped.items() if name.startswith("flumen_shadow_dropped_total"))
        answered = scraped.get('flumen_shadow_images_total{model_name="mnist",model_version="2"}', 0)
        return lost + answered == scene.sent

    for _ in range(6):
        scene.publish(40)
        scene.wait_for_images()
        wait_until(all_answered, "the challenger's answers", worker.check)
    champions, challengers = offline(scene, scene.shipped), offline(scene, second)
    rows = stored_rows(kudu, PREDICTIONS, "predictions")
    theirs = {scene.digits.number(row["id"]): row for row in rows if row["model_version"] == 2}
    assert theirs
    for number, row in theirs.items():
        assert row["prediction"] == challengers[number].argmax()
        assert row["confidence"] == pytest.approx(challengers[number].max(), abs=1e-5)
    assert {row["model_version"] for row in stored_rows(kudu, ["model_version"])} == {1}
    solr.commit()
    assert solr.count() == scene.sent
    documents = solr.search("disagreement:[* TO *]", rows=scene.sent)
    differs = {scene.digits.number(row["id"]): row["disagreement"] for row in documents}
    expected = {n: champions[n].argmax() != challengers[n].argmax() for n in theirs}
    assert differs == expected
    assert 0 < sum(differs.values()) < len(differs)
    scraped = _metrics(port)
    labels = '{model_name="mnist",model_version="2"}'
    assert scraped[f"flumen_shadow_disagreements_total{labels}"] == sum(differs.values())
    assert scraped['flumen_active_model_info{model_name="mnist",model_version="1"}'] == 1
    scene.operator.write(second)
    scene.wait_for_status(lambda status: status.champion == second, "the challenger as champion")
    scraped = _metrics(port)
    assert [name for name in scraped if name.startswith("flumen_active_model_info")] == [
        f"flumen_active_model_info{labels}"
    ]
    assert scraped["flumen_model_swaps_total"] == 1
    assert worker.stop() == 0


def plain(shade: int, name: str) -> SourceImage:
    buffer = io.BytesIO()
    Image.new("L", (28, 28), shade).save(buffer, "PNG")
    return SourceImage(name, buffer.getvalue(), f"{name}.png", "/tests", "image/png", None, datetime.now(UTC))


def test_a_champion_without_an_answer_and_a_challenger_without_an_end_stop_nothing(
    scene: Scene, kudu: KuduReader, observer: Any, port: int, wait_until: Any
) -> None:
    """What no golden image has shown: one image is a dead letter, one hangs the challenger, and a stop is in order."""
    champion = register(scene.repository, 2, no_distribution_for_white())
    challenger = register(scene.repository, 3, never_ending_for_black())
    worker = scene.start(shadow_sample=1.0, http_port=port, stop_timeout_s=5)
    scene.operator.write(champion, challenger=challenger)
    scene.wait_for_status(lambda status: status.challenger == challenger, "the challenger")
    scene.publish_all(iter([*map(scene.digits.image, range(5)), plain(255, "white")]))
    scene.wait_for_images()
    scene.publish_all(iter([plain(0, "black")]))
    scene.wait_for_images()

    def left_behind() -> bool:
        scene.publish(5)
        scene.wait_for_images()
        return _metrics(port).get('flumen_shadow_dropped_total{reason="behind"}', 0) > 0

    wait_until(left_behind, "a challenger that hangs", worker.check)
    (dead_letter,) = observer.read(scene.settings.dead_topic)
    headers = {name: (value or b"").decode() for name, value in dead_letter.headers}
    assert dead_letter.key == b"white"
    assert headers["__connect.errors.stage"] == "classify"
    assert "the model mnist@2 answers with values that are not probabilities" in str(headers)
    stored = {row["id"] for row in stored_rows(kudu, ["id"])}
    assert "black" in stored
    assert "white" not in stored
    assert worker.stop() == 0
    assert worker.lines()[-1]["threads"] == ["shadow"]
    assert [raw.value for raw in observer.read(scene.settings.status_topic)][-1] is None


def _metrics(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}
