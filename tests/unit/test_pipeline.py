"""The pipeline for tests without servers: it stores and refuses as a worker does, and knows no server."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from images import encoded, grey
from PIL import Image

from flumen.interceptor import Batch, Column, Context, Intercepted, Kind
from flumen.interceptor.errors import UnknownInterceptor
from flumen.models.errors import ModelError
from flumen.streams.pipeline import Pipeline


class Number:
    """Stores the same number for every image."""

    columns = (Column("number", Kind.INT32, "the number"),)

    def __init__(self, number: int) -> None:
        self._number = number

    def intercept(self, batch: Batch, context: Context) -> Intercepted:
        return Intercepted(batch.with_columns(number=[self._number] * len(batch)), ())


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    with Pipeline() as pipeline:
        yield pipeline


def test_an_image_is_stored_with_what_was_sent_and_what_was_found(pipeline: Pipeline) -> None:
    stored = pipeline.send(
        grey(255), key="a", name="nine.png", known_label=9, headers={"ce_source": "/camera"}
    )
    assert stored.row is not None
    kept = {name: stored.row[name] for name in ("id", "name", "source", "knownlabel", "prediction", "model")}
    assert kept == {
        "id": "a",
        "name": "nine.png",
        "source": "/camera",
        "knownlabel": 9,
        "prediction": 8,
        "model": "mnist",
    }
    assert stored.row["brightness"] == "bright"
    assert pipeline.store.rows["a"] == stored.row


@pytest.mark.parametrize(
    ("value", "headers", "stage", "reason"),
    [
        (b"no image", {}, "decode", "of no known image"),
        (b"", {}, "envelope", "no bytes"),
        (None, {}, "envelope", "tombstone"),
        (grey(7), {"ce_knownlabel": "seven"}, "envelope", "ce_knownlabel"),
        (b"{}", {"content-type": "application/cloudevents+json"}, "envelope", "data_base64"),
    ],
    ids=["no image", "no bytes", "tombstone", "label", "structured"],
)
def test_what_a_worker_refuses_is_refused_with_its_reason(
    pipeline: Pipeline, value: bytes | None, headers: dict[str, str], stage: str, reason: str
) -> None:
    refused = pipeline.send(value, key="refused", headers=headers)
    assert (refused.image_id, refused.row, refused.stage) == ("refused", None, stage)
    assert reason in refused.reason
    assert "refused" not in pipeline.store.rows


def test_another_model_and_an_interceptor_that_is_not_installed() -> None:
    with Pipeline(["envelope", "decode", Number(7), "classify"], model="shapes") as pipeline:
        outcome = pipeline.send(encoded(Image.new("RGB", (32, 32), "red")))
    assert outcome.row is not None
    assert (outcome.row["model"], outcome.row["number"]) == ("shapes", 7)


def test_what_no_store_takes_is_refused_by_the_store() -> None:
    with Pipeline(["envelope", Number(2**31)]) as pipeline:
        outcome = pipeline.send(grey(7), key="a")
    assert (outcome.row, outcome.stage) == (None, "memory")
    assert "number is 2147483648, outside int32" in outcome.reason


def test_names_that_nothing_has_are_told() -> None:
    with pytest.raises(UnknownInterceptor, match="'ink'"):
        Pipeline(["ink"])
    with pytest.raises(ModelError, match="'nobody'"):
        Pipeline(model="nobody")


def test_a_second_close_does_nothing() -> None:
    pipeline = Pipeline(["envelope"])
    pipeline.close()
    pipeline.close()


def test_no_client_of_a_server_is_loaded() -> None:
    clients = "('confluent_kafka', 'faust', 'jpype', 'pysolr')"
    loaded = (
        f"import sys, flumen.streams.pipeline; print([name for name in {clients} if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", loaded]) == b"[]\n"
