"""Grid files: what they may say, what is said of a mistake, and which settings come of them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flumen.cli.learning.dataset_options import DatasetOptions
from flumen.cli.learning.experiment_computing import dataset_options
from flumen.models.errors import BadParameters, GridInvalid
from flumen.models.experiments.grid import SHIPPED, Grid, parse_grid, read_grid
from flumen.models.experiments.search import at_rung, settings_of

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class Parameters:
    rate: float = 0.01
    epochs: int = 15
    batch_size: int = 200
    hidden: tuple[int, ...] = (500, 100)

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise BadParameters(f"rate={self.rate}: allowed is more than 0")


class Pretended:
    """Has the parameters of a trainer; nothing here trains."""

    name = "network"
    parameters = Parameters

    def preprocess(self, pixels: Any) -> Any:
        raise NotImplementedError

    def train(self, task: Any, parameters: Any) -> Any:
        raise NotImplementedError


def grid(text: str = "") -> Grid:
    return parse_grid(f'name = "rates"\n{text}', "rates.toml")


def ids(text: str, most: int = 10_000) -> list[str]:
    return [setting.run_id for setting in settings_of(grid(text), Pretended(), 10, most)]


USUAL = "[parameters]\nepochs = 15\nbatch_size = 128\n"


@pytest.mark.parametrize(("name", "count"), [("article", 140), ("article-table", 18)])
def test_the_articles_grids_have_the_articles_ids(name: str, count: int) -> None:
    settings = settings_of(read_grid(name), Pretended(), 10)
    found = [setting.run_id for setting in settings]
    assert len(set(found)) == count
    assert ("256_400_0.024" if name == "article" else "10_100_1.0E-5") in found
    assert all(one.count("_") == 2 for one in found)


def test_both_grids_that_are_brought_are_those_that_are_named() -> None:
    assert {read_grid(name).name for name in SHIPPED} == set(SHIPPED)


def test_an_id_tells_what_is_not_as_in_the_article() -> None:
    (usual,) = ids(USUAL)
    (others,) = ids(USUAL.replace("128", "64"))
    assert usual == "10_123_0.01"
    assert others.startswith("10_123_0.01_")
    assert others == "10_123_0.01_4f87da39"  # for ever: it is a key


def test_an_id_is_the_same_in_whatever_grid() -> None:
    assert ids(USUAL + "rate = [0.1, 0.01]")[1] == ids("seeds = [123, 5]\n" + USUAL)[0]


def test_repeats_have_seeds_that_the_seed_determines() -> None:
    three = ids("seeds = [7]\nrepeats = 3\n" + USUAL)
    assert len(set(three)) == 3
    assert three[0] == "10_7_0.01"
    assert ids("seeds = [7]\nrepeats = 2\n" + USUAL) == three[:2]


def test_a_run_of_another_rung_is_another_run() -> None:
    settings = settings_of(grid(USUAL), Pretended(), 10)
    (short,) = at_rung(settings, 1)
    assert short.run_id not in {one.run_id for one in settings}
    assert [one.run_id for one in at_rung([short], 15)] == [one.run_id for one in settings]


def test_a_range_is_cut_evenly_on_its_scale() -> None:
    text = USUAL + 'rate = {from = 0.001, to = 10, scale = "log", steps = 5}'
    assert [one.split("_")[2] for one in ids(text)] == ["0.001", "0.01", "0.1", "1.0", "10.0"]


def test_the_images_are_named_by_the_options_of_the_other_commands() -> None:
    text = """[data]
from = "kudu"
data = "unused"
where = "knownlabel < 3"
label = "label"
group = "source"
labels = "a,b"
size = "8x8"
colour = true
resize = "crop"
like = "photos"
validation = 0.25
test = 0.2
snapshot = 5
train_images = 7
"""
    data = grid(text).data
    assert data.train_images == 7
    assert dataset_options(data) == DatasetOptions(
        kind="kudu",
        data=Path("unused"),
        where="knownlabel < 3",
        label="label",
        group="source",
        labels="a,b",
        size="8x8",
        colour=True,
        resize="crop",
        like="photos",
        validation=0.25,
        test=0.2,
        snapshot_us=5,
    )
    assert dataset_options(grid().data) == DatasetOptions()


def test_whole_numbers_of_a_range_are_rounded_and_those_that_are_the_same_then_are_one() -> None:
    text = USUAL.replace("15", '{from = 1, to = 16, scale = "log", steps = 9}')
    settings = settings_of(grid(text), Pretended(), 10)
    assert [one.parameters["epochs"] for one in settings] == [1, 2, 3, 4, 6, 8, 11, 16]


@pytest.mark.parametrize("method", ["random", "sobol"])
def test_a_search_draws_within_bounds_and_the_same_again(method: str) -> None:
    text = (
        f'[search]\nmethod = "{method}"\nsettings = 20\nseed = 4\n{USUAL}'
        'rate = {from = 1e-4, to = 0.1, scale = "log"}\nhidden = [[10], [20, 10]]'
    )
    found = settings_of(grid(text), Pretended(), 10)
    rates = [float(one.parameters["rate"]) for one in found]  # type: ignore[arg-type]
    assert len(found) == 20
    assert all(1e-4 <= rate <= 0.1 for rate in rates)
    # As many in one half of the logarithms as in the other, or nearly.
    assert 5 <= sum(rate < 10**-2.5 for rate in rates) <= 15
    assert {one.parameters["hidden"] for one in found} == {(10,), (20, 10)}
    assert ids(text) == ids(text)
    assert ids(text) != ids(text.replace("seed = 4", "seed = 5"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed = [1]", "'seeds'"),
        ("trainr = 'x'", "'trainer'"),
        ("[data]\nwhre = 'x'", "'where'"),
        ("[data]\nvalidation = '0.1'", "a share, such as 0.1"),
        ("[data]\ncolour = 1", "true or false"),
        ("[parameters]\nrates = [0.1]", "'rate'"),
        ("[parameters]\nrate = []", "no values"),
        ("seeds = []", "empty"),
        ("seeds = [-1]", "whole numbers from 0"),
        ("seeds = [1.5]", "whole numbers"),
        ("outputs = [9]", "10 labels"),
        ("outputs = [300]", "to 256"),
        ("[parameters]\nrate = ['fast']", "has to be a number"),
        ("[parameters]\nrate = [true]", "has to be a number"),
        (f"[parameters]\nrate = [{10**400}]", "has to be a number"),
        ("[parameters]\nepochs = [true]", "has to be a whole number"),
        ("[parameters]\nepochs = [1.5]", "has to be a whole number"),
        ("[parameters]\nepochs = [inf]", "has to be a whole number"),
        ("[parameters]\nepochs = [nan]", "has to be a whole number"),
        ("[parameters]\nhidden = [[1.5]]", "has to be whole numbers"),
        ("[parameters]\nhidden = [['a']]", "has to be whole numbers"),
        ("[parameters]\nhidden = [[5], 4]", "has to be whole numbers"),
        ("[parameters]\nrate = {from = 0.1, to = inf, steps = 3}", "the lower first"),
        ("[parameters]\nepochs = {from = nan, to = 3, steps = 3}", "the lower first"),
        ("[parameters]\nrate = [0.0]", "more than 0"),
        ("[parameters]\nrate = {from = 1, to = 0.1}", "the lower first"),
        ("[parameters]\nrate = {from = 0, to = 1, scale = 'log'}", "raise `from`"),
        ("[parameters]\nrate = {from = 0.1, to = 1}", "steps"),
        ("[parameters]\nrate = {from = 0.1, untl = 1}", "'to'"),
        ("[search]\nmethod = 'sobol'", "settings = 32"),
        ("[search]\nmethod = 'soboll'", "allowed are grid, random, sobol"),
        ("[search]\nmethod = 'random'\nsettings = 4", "nothing to search"),
        ("[halving]\nrungs = [4, 1]", "rise"),
        ("[halving]\nrungs = [1, 4]\nkeep = 1", "between 0 and 1"),
        ("name = 'twice'", "not TOML"),
        ("model = '../etc'", "'../etc'"),
        ("data = 'here'", "a table: [data]"),
        (
            "[parameters]\nrate = {from = 0.1, to = 1, steps = 9999}\nepochs = {from = 1, to = 9999, steps = 101}",
            "--most",
        ),
        (
            "seeds = [1, 2]\nrepeats = 1000\n[parameters]\nrate = {from = 0.1, to = 1, steps = 500}",
            "1,000,000 settings",
        ),
    ],
)
def test_a_mistake_is_named_and_what_to_do(text: str, said: str) -> None:
    with pytest.raises(GridInvalid) as raised:
        settings_of(grid(text), Pretended(), 10)
    assert said in str(raised.value)


def test_a_file_that_is_not_there_is_named_with_those_that_are_brought(tmp_path: Any) -> None:
    with pytest.raises(GridInvalid, match="article-table"):
        read_grid(tmp_path / "none.toml")
    with pytest.raises(GridInvalid, match="no name"):
        parse_grid("", "empty.toml")


DOCUMENTED = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "experiments.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("text", DOCUMENTED)
def test_what_the_docs_show_is_read(text: str) -> None:
    read = parse_grid(text, "docs.toml") if text.startswith("name") else grid(text)
    assert read.name == "rates"
    assert read != grid()
