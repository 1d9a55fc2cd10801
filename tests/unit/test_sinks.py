"""Which stores are written to, and the options that they get from the settings."""

from pathlib import Path
from typing import Any

import pytest

from flumen.interceptor import Column, Kind
from flumen.stores import StoreError, UnknownStore, find_store
from flumen.stores.files import FilesOptions
from flumen.streams.errors import BadSetting
from flumen.streams.settings import Settings, load_settings
from flumen.streams.sinks import chosen_stores, make_answers, make_migrations, make_sinks

COLUMNS = (Column("id", Kind.STRING, "The image's id.", nullable=False),)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def set_to(toml: str) -> Settings:
    Path("flumen.toml").write_text(toml)
    return load_settings()


def names(made: Any) -> list[str]:
    return [each.name for each in made]


def test_kudu_and_solr_are_written_unless_others_are_named() -> None:
    settings = load_settings(kudu_masters="there:7", solr_core="mine", solr_username="me", solr_password="x")
    kudu, solr = chosen_stores(settings)
    assert (kudu.options, solr.options) == (settings.kudu_options(), settings.solr_options())
    assert (kudu.options.masters, solr.options.core, solr.options.password) == ("there:7", "mine", "x")
    assert names(make_sinks(settings, (kudu, solr), COLUMNS)) == ["kudu", "solr"]
    assert names(make_answers((kudu, solr))) == ["kudu", "solr"]
    assert len(make_migrations((kudu, solr), COLUMNS)) == 2


def test_others_are_written_in_their_order() -> None:
    settings = set_to(
        'sinks = ["files", "kudu"]\nclassified_topic = "results"\n[stores.files]\nurl = "/data"\nimages = false'
    )
    files, kudu = chosen_stores(settings)
    assert files.options == FilesOptions(url="/data", images=False)
    assert names(make_sinks(settings, (files, kudu), COLUMNS)) == ["files", "kudu", "results"]
    assert names(make_answers((files, kudu))) == ["kudu"]


def test_options_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUMEN_SINKS", '["files"]')
    monkeypatch.setenv("FLUMEN_STORES", '{"files": {"url": "s3://me:hunter2@bucket/images"}}')
    settings = load_settings()
    assert "hunter2" not in f"{settings!r} {settings.model_dump()}"
    [files] = chosen_stores(settings)
    assert files.options.url == "s3://me:hunter2@bucket/images"
    assert "hunter2" not in f"{files} {files.options.address}"


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('sinks = ["kudo"]', r"no store is named 'kudo'; installed are: .*files.*kudu.*solr"),
        ('sinks = ["memory"]', "no store is named 'memory'"),
        ('sinks = ["kudu", "kudu"]', "name each once"),
        ("sinks = []", r"the setting sinks is \[\]; allowed: a list of texts"),
        ('sinks = ["files"]', r"'files' does not take url as it is set: .*\[stores\.files\]"),
        (
            'sinks = ["files"]\n[stores.files]\nurl = "/data"\nimage = true',
            r"no option 'image' \(did you mean images\?\).*\[stores\.files\].*are: url, images",
        ),
        (
            'sinks = ["files"]\n[stores.files]\nurl = "/data"\nimages = "many"',
            "does not take images as it is set: .*boolean",
        ),
        ('sinks = ["files"]\n[stores.files]\nurl = " "', "URL of the files is empty"),
        ('stores = "files"', r"stores is \*\*\*; allowed: texts, numbers and truth values by name, for each"),
        ("[stores.files]\nurl = []", r"stores has no such option as files\.url; allowed: texts, numbers"),
        (
            '[stores.solr]\nurl = "http://here/solr"',
            "solr has no table here, but settings of its own: solr_timeout_s",
        ),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(toml: str, said: str) -> None:
    with pytest.raises((BadSetting, StoreError), match=said):
        chosen_stores(set_to(toml))


def test_a_store_has_the_name_that_it_is_registered_under(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("kudu", "solr", "files"):
        assert find_store(name).name == name

    class Point:
        name = "other"

        def load(self) -> Any:
            return find_store.__globals__["Store"](
                name="files", options=FilesOptions, make_sink=None, make_reader=None
            )

    monkeypatch.setattr("flumen.stores.store.entry_points", lambda group: [Point()])
    with pytest.raises(UnknownStore, match="registered as 'other' calls itself 'files'"):
        find_store("other")


def test_a_secret_option_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    settings = set_to(
        f'[stores.other]\nurl = "x://y"\npassword_file = "{tmp_path}/secret"\ntls = true\nrows = 5'
    )
    assert settings.store_options("other") == {"url": "x://y", "password": "hunter2", "tls": True, "rows": 5}
    with pytest.raises(BadSetting, match="either password_file or password"):
        set_to('[stores.other]\npassword = "x"\npassword_file = "y"')
