"""`python -m bench.article`: compute what does not stand yet, and write `docs/article.md` with its plot."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.article import told
from bench.article.experiments import FINER, HEADLINE, LARGE, SKEW, TABLE, standing
from bench.article.observations import by_rate, rate_of
from bench.article.page import PICTURE, Results, write_page
from bench.article.picture import accuracy_by_rate
from bench.article.skew import measure_skew
from flumen.cli.stack import start_stack
from flumen.models.datasets.dataset import read_dataset
from flumen.models.experiments.local.engine import cores
from flumen.models.experiments.run import Run
from flumen.models.repository import Repository
from flumen.stack import local
from flumen.streams.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "article.md"


def main() -> None:
    """Write the page. Where Kudu is, the settings say; else the servers of this folder are started."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--processes", type=int, default=cores(), help="Runs at the same time.")
    parser.add_argument(
        "--page", type=Path, default=PAGE, help="Where the page is written; the plot beside it."
    )
    given = parser.parse_args()
    with kudu() as settings:
        results = _results(settings, given.processes)
    given.page.with_name(PICTURE).write_text(accuracy_by_rate(by_rate(results.table.runs)), encoding="utf-8")
    given.page.write_text(write_page(results), encoding="utf-8")
    print(f"{given.page} is written")


def _results(settings: Settings, processes: int) -> Results:
    table, headline, finer, skew = (
        experiment.compute(settings, processes) for experiment in (TABLE, HEADLINE, FINER, SKEW)
    )
    test = read_dataset(ROOT / "data" / "mnist").test
    best = [run for run in table.runs if rate_of(run) == told.LAST_BEFORE_CLIFF]
    repository = Repository(settings.model_repository)
    grey = measure_skew("grey", _references(best), repository, test)
    binarised = measure_skew("binarised", _references(skew.runs), repository, test)
    return Results(table, headline, finer, skew, (grey, binarised), standing(LARGE, settings))


def _references(runs: Sequence[Run]) -> list[str]:
    return [run.reference for run in runs if run.reference]


@contextmanager
def kudu() -> Iterator[Settings]:
    """Open settings that name a Kudu: the one that is configured, or this folder's, which is stopped again."""
    settings = load_settings()
    if "kudu_masters" in settings.model_fields_set:
        yield settings
        return
    ran = local.running(settings.home)
    try:
        start_stack(settings.home)
        yield load_settings()
    finally:
        local.stop_others(settings.home, ran)


if __name__ == "__main__":
    main()
