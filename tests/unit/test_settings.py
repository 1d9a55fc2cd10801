import json
from pathlib import Path

import pytest

from streams.errors import BadSetting
from streams.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without settings, and an environment without them."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FLUMEN_{name.upper()}", raising=False)
    return tmp_path


def record_stack(home: Path, kafka: str) -> None:
    (home / "stack").mkdir(parents=True)
    (home / "stack" / "endpoints.json").write_text(
        json.dumps({"kafka": kafka, "kudu_masters": "here:2", "solr_url": "http://here:3/solr"})
    )


def test_the_stronger_source_wins(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().kafka_servers == "127.0.0.1:9092"
    record_stack(elsewhere / ".flumen", "stack:1")
    assert load_settings().kafka_servers == "stack:1"
    assert load_settings().solr_url == "http://here:3/solr"
    Path("flumen.toml").write_text('kafka_servers = "file:1"\nmax_batch_size = 7\n')
    assert load_settings().kafka_servers == "file:1"
    monkeypatch.setenv("FLUMEN_KAFKA_SERVERS", "environment:1")
    assert load_settings().kafka_servers == "environment:1"
    assert load_settings(kafka_servers="argument:1", group_id=None).kafka_servers == "argument:1"
    assert load_settings().max_batch_size == 7


def test_the_stack_of_another_home_is_found(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record_stack(elsewhere / "other", "other:1")
    monkeypatch.setenv("FLUMEN_HOME", "other")
    assert load_settings().kafka_servers == "other:1"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("max_batch_size", "0", "greater than or equal to 1"),
        ("max_batch_size", "many", "integer"),
        ("kudu_driver", "odbc", "'auto', 'jvm' or 'native'"),
        ("images_topic", "no spaces!", "pattern"),
        ("solr_url", "ftp://x", "pattern"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    name: str, value: str, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"FLUMEN_{name.upper()}", value)
    with pytest.raises(BadSetting) as caught:
        load_settings()
    assert name in str(caught.value)
    assert repr(value) in str(caught.value)
    assert allowed in str(caught.value)


def test_an_unknown_setting_is_refused_with_the_known_ones() -> None:
    Path("flumen.toml").write_text("max_batch = 7\n")
    with pytest.raises(BadSetting, match=r"no setting 'max_batch'.*max_batch_size"):
        load_settings()


@pytest.mark.parametrize("content", ["max_batch_size = = 7", "\xff"])
def test_a_broken_file_is_named(content: str) -> None:
    Path("flumen.toml").write_bytes(content.encode("latin-1"))
    with pytest.raises(BadSetting, match=r"flumen\.toml"):
        load_settings()


def test_kafkas_own_settings_pass_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUMEN_KAFKA_PROPERTIES", '{"security.protocol": "SASL_SSL", "sasl.username": "me"}')
    settings = load_settings()
    for config in (settings.consumer_config(), settings.producer_config(), settings.admin_config()):
        assert config["security.protocol"] == "SASL_SSL"
        assert config["sasl.username"] == "me"


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(load_settings(solr_password="secret"))
