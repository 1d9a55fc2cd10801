"""The demo's two models beside one another, and the commands it ends with, run as they are printed."""

import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flumen.cli.background import environment_of
from flumen.cli.demo.photos import photo_settings, photo_worker, send_photos, show_photos
from flumen.cli.demo.report import ARTICLE_QUERIES, Left, next_commands
from flumen.cli.invocation import as_typed
from flumen.streams.kafka.topics import ensure_topics
from flumen.streams.publishing.publisher import publish
from flumen.streams.settings import Settings
from flumen.streams.wire import SourceImage

DIGITS = 5


def test_what_the_demo_says_at_its_end(
    settings: Settings,
    start_worker: Callable[..., Any],
    wait_until: Callable[..., Any],
    wait_until_acknowledged: Callable[..., None],
    png: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    ensure_topics(settings)
    digits_worker = start_worker()
    photos = photo_settings(settings)
    with photo_worker(photos, keep=False, grace_s=40) as photographer:
        digits = [
            SourceImage(f"digit {row}", png, "", "tests", "image/png", row, datetime.now(UTC))
            for row in range(DIGITS)
        ]
        publish(digits, settings.producer_config(), settings.images_topic, None, lambda _: None)
        wait_until(photographer.is_ready, "the worker of photos")
        sent = send_photos(photos, photographer)
        assert sent.looks[-1].done == sent.report.sent
        assert show_photos(photos, sent.report.sent) == []
        wait_until_acknowledged(DIGITS, digits_worker)

    one_image = tmp_path / "one.png"
    shutil.copy(Path(__file__).parents[2] / "tests" / "fuzz" / "corpus" / "png", one_image)
    article = as_typed("sql", ARTICLE_QUERIES[0], "--json")
    further = (
        line
        for line in next_commands(photos, one_image, Left(servers=True, workers=True))
        if " down " not in line and not line.endswith(" console")  # that one serves until it is stopped
    )
    lines = [article, *further]
    done = [subprocess.run(line, shell=True, capture_output=True, text=True, check=False) for line in lines]
    assert [(line, run.stderr) for line, run in zip(lines, done, strict=True) if run.returncode] == []
    shown = dict(zip(lines, (run.stdout for run in done), strict=True))
    (photo_answer,) = (shown[line] for line in lines if "photos_" in line and " sql " in line)
    assert "stars" in photo_answer
    assert (
        sum(row["count(PREDICTION)"] for row in json.loads(shown[article])) == DIGITS
    )  # no brick among them
