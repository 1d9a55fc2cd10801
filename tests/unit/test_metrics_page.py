"""docs/metrics.md names the metrics that there are, with their types, labels and units, and no others."""

import re
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram

from flumen.streams.live.metrics import Metrics

PAGE = (Path(__file__).parent.parent.parent / "docs" / "metrics.md").read_text()
TABLE = {
    name: (kind, frozenset(re.findall(r"`(\w+)`", labels)), unit)
    for name, kind, labels, unit in re.findall(
        r"^\| `(flumen_\w+)` \| (\w+) \| (.*?) ?\| (.*?) \|", PAGE, re.MULTILINE
    )
}
ENDINGS = {"counter": {"_total"}, "gauge": {""}, "histogram": {"_bucket", "_sum", "_count"}}


def filled() -> Metrics:
    """Return metrics that each have a sample under the labels that the page names; others are refused."""
    metrics = Metrics()
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            name = metric.describe()[0].name
            if labels := TABLE[name][1]:
                metric.labels(**dict.fromkeys(labels, "any"))
    return metrics


def test_the_table_has_every_metric_with_its_type_and_no_other() -> None:
    there = {metric.name: metric.type for metric in Metrics().registry.collect()}
    assert {name: kind for name, (kind, _, _) in TABLE.items()} == there


def test_the_labels_and_the_exposed_names_are_those_of_the_page() -> None:
    for metric in filled().registry.collect():
        kind, labels, _ = TABLE[metric.name]
        samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
        assert {sample.name.removeprefix(metric.name) for sample in samples} == ENDINGS[kind], metric.name
        for sample in samples:
            assert sample.labels.keys() - {"le"} == labels, metric.name


def test_a_metric_that_names_its_unit_has_that_unit() -> None:
    for name, (_, _, unit) in TABLE.items():
        ending = name.rsplit("_", 1)[1]
        if ending in {"seconds", "bytes", "images", "batches"}:
            assert unit == {"batches": "micro-batches"}.get(ending, ending), name


def test_every_name_on_the_page_is_one_that_is_exposed() -> None:
    exposed = {name + ending for name, (kind, _, _) in TABLE.items() for ending in (*ENDINGS[kind], "")}
    pages = [path.read_text() for path in Path(__file__).parent.parent.parent.glob("docs/*.md")]
    named = {name for page in pages for name in re.findall(r"\bflumen_\w+", page)}
    metrics = {name for name in named if name.endswith(("_total", "_bucket", "_sum", "_count", "_seconds"))}
    assert metrics <= exposed
    assert set(re.findall(r"\bflumen_\w+", PAGE)) <= exposed
