"""The alert rules and the dashboard ask for metrics and labels that exist, and each alert has its paragraph."""

import json
import re
from typing import Any

import yaml
from monitoring_files import ALERTS, DASHBOARD, FOLDER, alerts, panel_queries
from test_metrics_page import TABLE, filled

PAGE = (FOLDER.parent / "monitoring.md").read_text()
OF_SCRAPES = {"job", "instance"}


def exposed() -> dict[str, set[str]]:
    """The labels of each name that a worker exposes."""
    return {
        sample.name: {*sample.labels} | OF_SCRAPES
        for metric in filled().registry.collect()
        for sample in metric.samples
    }


def expressions() -> list[str]:
    annotations = json.loads(DASHBOARD.read_text())["annotations"]["list"]
    return [
        *(rule["expr"] for rule in alerts()),
        *(query for _, query in panel_queries()),
        *(mark["expr"] for mark in annotations),
    ]


def test_every_metric_that_is_asked_for_is_exposed() -> None:
    names = {name for query in expressions() for name in re.findall(r"\bflumen_\w+", query)}
    assert names <= exposed().keys()


def test_every_label_that_is_grouped_by_is_one_of_a_metric_that_is_asked_for() -> None:
    there = exposed()
    for query in expressions():
        labels = set[str]().union(*(there[name] for name in re.findall(r"\bflumen_\w+", query)), OF_SCRAPES)
        groups = re.findall(r"\bby \(([^)]*)\)", query)
        assert {label.strip() for group in groups for label in group.split(",")} <= labels, query


def test_the_dashboard_shows_every_metric() -> None:
    shown = " ".join(query for query in expressions())
    assert [name for name in TABLE if name not in shown] == []


def test_every_alert_has_its_paragraph_and_names_it() -> None:
    headings = re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)
    assert headings == [rule["alert"] for rule in alerts()]
    for rule in alerts():
        assert rule["annotations"]["runbook"] == f"docs/monitoring.md#{rule['alert'].lower()}"
        assert rule["annotations"].keys() == {"summary", "description", "runbook"}


def test_every_alert_is_raised_by_one_of_the_tests_of_the_rules() -> None:
    raised = re.findall(r"alertname[=:] ?\"?(\w+)", (FOLDER / "alerts_test.yml").read_text())
    assert {*raised} == {rule["alert"] for rule in alerts()}


def test_panels_do_not_overlap_and_say_their_unit() -> None:
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_rules_are_yaml_that_names_one_severity_each() -> None:
    severities = {rule["labels"]["severity"] for rule in alerts()}
    assert severities == {"critical", "warning", "info"}
    assert yaml.safe_load(ALERTS.read_text())["groups"][0]["name"] == "flumen"
