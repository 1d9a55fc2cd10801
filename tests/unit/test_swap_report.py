"""What a command tells of a change that stands, whatever becomes of the rest."""

import json
from typing import Never

import pytest
from desired_states import ref, state

from flumen.cli.models import swap as model_swap
from flumen.cli.models.swap import Report
from flumen.streams.control.operator.rollout import Order, RolloutResult
from flumen.streams.control.records import Command
from flumen.streams.errors import PublishFailed
from flumen.streams.settings import Settings

ORDER = Order(command=Command.ACTIVATE, model="mnist", actor="a", reason="", timeout_s=1)
REPORT = Report(
    ORDER, RolloutResult(state(2, 2), ("w1",), ("dead",)), f"mnist@{ref(2).version} classifies", {}
)


@pytest.fixture(autouse=True)
def _unacknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(*_: object) -> Never:
        raise PublishFailed("dead: still in 'models.status'")

    monkeypatch.setattr(model_swap, "forget", forget)


def test_a_swap_that_stands_is_told_though_a_dead_worker_cannot_be_forgotten(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(PublishFailed):
        model_swap._report(Settings(), REPORT, as_json=False)
    assert capsys.readouterr().out == ("mnist@2 classifies on 1 worker since revision 2.\nLeft out: dead.\n")
    with pytest.raises(PublishFailed):
        model_swap._report(Settings(), REPORT, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["state"]["revision"], told["left_out"]) == (2, ["dead"])
