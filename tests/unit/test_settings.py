import json
import os
import re
from itertools import combinations
from pathlib import Path

import pytest

from flumen.models.verify import WARM_UP_SIZES
from flumen.streams.errors import BadSetting
from flumen.streams.settings import Settings, load_settings
from flumen.streams.settings.environment import OTHER_NAMES
from flumen.streams.settings.wrong import in_words


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without settings, and an environment without them."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("FLUMEN_")]:
        monkeypatch.delenv(name)
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
        ("max_batch_size", "0", "allowed: a whole number from 1, up to 100,000."),
        ("max_batch_size", "many", "allowed: a whole number from 1, up to 100,000."),
        ("heartbeat_s", "inf", "allowed: a number from 0.1, up to 60."),
        ("stop_timeout_s", "0", "allowed: a number above 0, up to 600."),
        ("kudu_driver", "odbc", "allowed: auto, jvm or native."),
        ("images_topic", "no spaces!", "allowed: 1 to 249 letters, digits, dots, _ and -, such as 'images'."),
        ("model_name", "m" * 101, "allowed: 1 to 100 small letters, digits, _ and -, the first a letter or"),
        ("classified_topic", "no spaces!", "allowed: 1 to 249 letters, digits, dots, _ and -."),
        ("classified_topic", "..", "is '..': that is a folder's name"),
        ("images_topic", ".", "is '.': that is a folder's name"),
        ("solr_core", "..", "is '..': that is a folder's name"),
        ("kudu_replicas", "2", "is '2': Kudu's replicas vote, and so their number is odd"),
        (
            "solr_url",
            "ftp://x",
            "a URL that begins with http:// or https://, such as 'http://127.0.0.1:8983/solr'.",
        ),
        ("solr_url", "http://[::1/solr", "must be like http://host:8983/solr"),
        ("solr_url", "http://h:99999/solr", "must be like http://host:8983/solr"),
        ("interceptors", "a,b", 'a list of texts: ["envelope", "decode"] in flumen.toml, and as JSON in the'),
        ("image_formats", "JPEG", 'a list of texts: ["AVIF", "BMP"] in flumen.toml, and as JSON in the'),
        ("control_public_keys", "abc", "a list of texts"),
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


def test_a_wrong_entry_of_a_list_or_table_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUMEN_INTERCEPTORS", "[1]")
    monkeypatch.setenv("FLUMEN_KAFKA_PROPERTIES", '{"client.id": [], "sasl.password": ["hunter2"]}')
    with pytest.raises(BadSetting) as caught:
        load_settings()
    assert "interceptors has 1 in its list; allowed: a list of texts" in str(caught.value)
    assert "kafka_properties has no text as client.id; allowed: texts by name: a table" in str(caught.value)
    assert str(caught.value).count("\n") == 1  # a line for each setting


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("FLUMEN_KAFKA_SERVER", "FLUMEN_KAFKA_SERVERS"),
        ("FLUMEN_SOLR_PASWORD", "FLUMEN_SOLR_PASSWORD"),
        ("flumen_kudu_master", "FLUMEN_KUDU_MASTERS"),
        ("FLUMEN_CACHE_DIR", "FLUMEN_CACHE"),
    ],
)
def test_a_misspelt_name_in_the_environment_is_refused_with_the_nearest(
    name: str, nearest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "hunter2")
    with pytest.raises(BadSetting, match=rf"no setting {name} \(did you mean {nearest}\?\)") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_what_is_near_to_nothing_is_refused_without_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUMEN_XYZZY", "")
    with pytest.raises(BadSetting, match=r"no setting FLUMEN_XYZZY; .* Settings are: audit_topic"):
        load_settings()


def test_a_misspelt_name_in_the_file_is_refused_with_the_nearest() -> None:
    Path("flumen.toml").write_text("solr_pasword = 'hunter2'\n")
    with pytest.raises(BadSetting, match=r"'solr_pasword' \(did you mean solr_password\?\)") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_a_name_of_0_1_0_is_refused_with_what_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("flumen.toml").write_text("marks_topic = 'images.dead.marks'\n")
    with pytest.raises(BadSetting, match=r"'marks_topic' \(it is resolutions_topic now\); correct it in"):
        load_settings()
    monkeypatch.setenv("FLUMEN_MARKS_TOPIC", "images.dead.marks")
    with pytest.raises(BadSetting, match=r"FLUMEN_MARKS_TOPIC \(it is FLUMEN_RESOLUTIONS_TOPIC now\)"):
        load_settings()


def test_what_was_resolved_before_is_read_where_it_was_written() -> None:
    assert load_settings().resolutions_topic == "images.dead.marks"


def test_names_of_others_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OTHER_NAMES:
        monkeypatch.setenv(name, "x")
    # What Kubernetes adds for services called flumen and flumen-solr.
    monkeypatch.setenv("FLUMEN_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("FLUMEN_SERVICE_PORT_HTTP", "9464")
    monkeypatch.setenv("FLUMEN_PORT", "tcp://10.0.0.1:9464")
    monkeypatch.setenv("FLUMEN_SOLR_PORT_8983_TCP_ADDR", "10.0.0.2")
    load_settings()


def test_the_names_of_others_are_those_that_are_read_somewhere() -> None:
    """Every name in the code is a setting or one of them, and each of them is read."""
    root = Path(__file__).parents[2]
    files = [root / "Makefile", root / "docker-compose.yml"]
    for folder in ("bench", "cli", "models", "stack", "stores", "streams", "tests"):
        files += (root / folder).rglob("*.py")
    files = [file for file in files if file.name not in {"environment.py", Path(__file__).name}]
    found = {name for file in files for name in re.findall(r"\bFLUMEN_[A-Z][A-Z_]*[A-Z]\b", file.read_text())}
    assert found >= OTHER_NAMES.keys()
    in_code = {
        name for file in files[2:] for name in re.findall(r"\bFLUMEN_[A-Z][A-Z_]*[A-Z]\b", file.read_text())
    }
    assert in_code <= OTHER_NAMES.keys() | {f"FLUMEN_{name.upper()}" for name in Settings.model_fields}


def test_every_setting_says_what_it_means_and_in_which_unit() -> None:
    units = {
        "_bytes": "bytes",
        "_pixels": "pixels",
        "_s": "seconds",
        "_ms": "milliseconds",
        "_threads": "threads",
        "_partitions": "partitions",
        "_replicas": "replicas",
        "_topic": "topic|images|letters|model|keeps|worker",
    }
    for name, field in Settings.model_fields.items():
        meaning = (field.description or "").lower()
        assert len(meaning) > 10, name
        assert meaning.endswith("."), name
        unit = next((words for suffix, words in units.items() if name.endswith(suffix)), "")
        assert re.search(unit, meaning), f"{name} is in {unit}: {meaning}"


def test_a_model_is_tried_with_batches_of_a_workers_size_before_it_is_registered() -> None:
    assert (1, load_settings().max_batch_size) == WARM_UP_SIZES


def test_every_pattern_is_said_in_words() -> None:
    """Beside the pattern, where it is declared; within `TopicName | None` too."""
    with_pattern = {name for name, field in Settings.model_fields.items() if "pattern=" in repr(field)}
    assert with_pattern == {name for name, field in Settings.model_fields.items() if in_words(field)}
    assert {"classified_topic", "worker_id", "model_name", "kudu_table_prefix", "solr_core"} <= with_pattern


def test_kafkas_own_settings_pass_through(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("flumen.toml").write_text(
        """[kafka_properties]
        "security.protocol" = "SASL_SSL"
        "sasl.username" = "me"
        "sasl.password" = "hunter2"
        "socket.timeout.ms" = 6000
        "enable.ssl.certificate.verification" = true
        """
    )
    settings = load_settings()
    for config in (
        settings.consumer_config(),
        settings.lone_consumer_config(),
        settings.producer_config(),
        settings.admin_config(),
    ):
        assert config["security.protocol"] == "SASL_SSL"
        assert config["sasl.username"] == "me"
        assert config["sasl.password"] == "hunter2"
        assert config["socket.timeout.ms"] == "6000"
        assert config["enable.ssl.certificate.verification"] == "true"


TOPICS = [name for name in Settings.model_fields if name.endswith("_topic")]


@pytest.mark.parametrize(("one", "other"), list(combinations(TOPICS, 2)))
def test_no_topic_is_there_for_two_things(one: str, other: str) -> None:
    with pytest.raises(BadSetting) as caught:
        load_settings(**{one: "same", other: "same"}, max_in_flight_bytes=2_000_000)
    topics, room = str(caught.value).splitlines()
    assert f"{one} and {other} are one topic, 'same'" in topics
    assert f"FLUMEN_{other.upper()}" in topics
    assert room.startswith("max_in_flight_bytes is 2,000,000")
