"""Prometheus itself takes the alert rules, and answers each query of the dashboard from what a worker exposes.

On Debian: apt-get install prometheus, which brings promtool.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from clocks import Clock
from monitoring_files import ALERTS, FOLDER, alerts, panel_queries
from prometheus_client import Counter, Gauge, Histogram
from test_metrics_page import TABLE

from flumen.stack.ports import choose
from flumen.streams.live.health import Pulse
from flumen.streams.live.metrics import Metrics
from flumen.streams.live.web import WebOptions, serving

VARIABLES = {"$__rate_interval": "1m", "$instance": ".*", "$job": "flumen"}


def installed(program: str) -> str:
    """Where a program is; where it is not installed, the test is skipped and says what to install."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed: apt-get install prometheus")
    return found


def count_something(metrics: Metrics) -> None:
    """Let every counter and histogram go on, under the labels that the page of metrics names."""
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            labels = TABLE[metric.describe()[0].name][1]
            labelled: Any = metric.labels(**dict.fromkeys(labels, "any")) if labels else metric
            if isinstance(metric, Histogram):
                labelled.observe(0.02)
            else:
                labelled.inc()


@pytest.fixture
def prometheus(tmp_path: Path, wait_until: Callable[..., Any]) -> Iterator[str]:
    """The address of a Prometheus with our rules, which has scraped a worker three times, with more to see each."""
    program, ports = installed("prometheus"), choose(["worker", "prometheus"], {}, set())
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [
            {"job_name": "flumen", "static_configs": [{"targets": [f"127.0.0.1:{ports['worker']}"]}]}
        ],
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(settings))
    address, metrics = f"127.0.0.1:{ports['prometheus']}", Metrics()
    command = [program, "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    with (
        serving(WebOptions(ports["worker"]), metrics, Pulse(10, Clock())),
        (tmp_path / "log").open("w") as log,
        subprocess.Popen([*command, f"--web.listen-address={address}"], cwd=tmp_path, stderr=log) as process,
    ):

        def check() -> None:
            assert process.poll() is None, (tmp_path / "log").read_text()

        def scraped_often() -> bool:
            count_something(metrics)
            try:
                found = ask(f"http://{address}", "count_over_time(flumen_shadow_images_total[1m])")
            except requests.ConnectionError:
                return False
            return bool(found) and float(found[0]["value"][1]) >= 3

        try:
            wait_until(scraped_often, "three scrapes", check)
            yield f"http://{address}"
        finally:
            process.terminate()


def ask(address: str, query: str) -> list[dict[str, Any]]:
    """What Prometheus answers; it is ready when it answers at all."""
    answer = requests.get(f"{address}/api/v1/query", {"query": query}, timeout=60)
    if answer.status_code == 503:
        return []
    body = answer.json()
    assert body["status"] == "success", f"{query}: {body['error']}"
    found: list[dict[str, Any]] = body["data"]["result"]
    return found


def test_promtool_takes_the_rules_and_each_is_raised_by_what_it_is_for() -> None:
    for arguments in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(
            [installed("promtool"), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_query_of_the_dashboard_has_an_answer_and_each_rule_is_evaluated(
    prometheus: str, wait_until: Callable[..., Any]
) -> None:
    for title, query in panel_queries():
        asked = re.sub(r"\$\w+", lambda variable: VARIABLES[variable[0]], query)
        values = [float(series["value"][1]) for series in ask(prometheus, asked)]
        assert values, title
        assert all(value >= 0 for value in values), title

    def evaluated() -> list[dict[str, Any]] | None:
        groups = requests.get(f"{prometheus}/api/v1/rules", timeout=60).json()["data"]["groups"]
        rules: list[dict[str, Any]] = groups[0]["rules"] if groups else []
        return rules if rules and all(rule["health"] != "unknown" for rule in rules) else None

    rules = wait_until(evaluated, "the rules' first evaluation")
    assert [(rule["name"], rule["health"], rule.get("lastError", "")) for rule in rules] == [
        (rule["alert"], "ok", "") for rule in alerts()
    ]
