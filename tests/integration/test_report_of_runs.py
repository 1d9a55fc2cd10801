"""`flumen report --experiment` on runs that stand in a real Kudu."""

import re
from pathlib import Path
from typing import Any

from flumen.models.experiments.run import Measures, Round, Run, to_row
from flumen.stores.kudu import KuduRuns


def test_the_runs_of_an_experiment_become_a_page(settings: Any, ask_flumen: Any, tmp_path: Path) -> None:
    table = KuduRuns(settings.kudu_options())
    for seed in (1, 2):
        for rate, accuracy in ((0.01, 0.9), (10.0, 0.1)):
            measures = Measures(accuracy, accuracy, accuracy, accuracy)
            run = Run(
                run_id=f"10_{seed}_{rate}",
                data_sha256="d" * 64,
                experiment="few",
                outputs=10,
                seed=seed,
                parameters={"rate": rate},
                state="done",
                validation=measures,
                curves=(Round(1, 0.5, accuracy / 2, 1.0), Round(2, 0.4, accuracy, 2.0)),
            )
            assert table.insert(to_row(run))
    table.close()
    page = tmp_path / "few.html"
    done = ask_flumen("report", "--experiment", "few", "-o", str(page), "--png", str(tmp_path / "plots"))
    assert done.returncode == 0, done.stderr
    html = page.read_text(encoding="utf-8")
    assert "Best at 0.01: 0.9000" in html
    assert set(re.findall(r'data-run="(\d)', html)) == set("0123")
    names = sorted(file.name for file in (tmp_path / "plots").iterdir())
    assert names == ["curves.png", "grid-10.png", "losses.png", "rates-10.png"]
    unknown = ask_flumen("report", "--experiment", "none")
    assert unknown.returncode == 1
    assert b"RunNotFound" in unknown.stderr
