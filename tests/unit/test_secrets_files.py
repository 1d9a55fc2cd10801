"""Secrets that lie in files."""

from pathlib import Path

import pytest
from marked import MARKER

from flumen.cli.background import environment_of
from flumen.streams.errors import BadSetting
from flumen.streams.settings import load_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_secrets_come_from_files(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("solr", "models", "kafka")}
    for name, file in files.items():
        file.write_text(f"{MARKER}-{name}\n")
    settings = load_settings(
        solr_password_file=files["solr"],
        models_root_file=files["models"],
        kafka_properties={"sasl.password_file": str(files["kafka"])},
    )
    assert settings.solr_options().password == f"{MARKER}-solr"
    assert settings.model_repository == f"{MARKER}-models"
    assert settings.names_repository
    assert settings.admin_config()["sasl.password"] == f"{MARKER}-kafka"
    assert "sasl.password_file" not in settings.admin_config()
    assert (
        MARKER not in f"{settings!r} {environment_of(settings)}"
    )  # the next process reads the files as well
    files["solr"].write_bytes(f"{MARKER}-new\r\n".encode())
    assert settings.solr_options().password == f"{MARKER}-new"  # a password may change


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\n", "is no text"),
    ],
)
@pytest.mark.parametrize("name", ["solr_password_file", "models_root_file", "sasl.password_file"])
def test_a_file_that_cannot_be_read_is_named(
    content: bytes | None, said: str, name: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    given = {"kafka_properties": {name: str(file)}} if "." in name else {name: file}
    with pytest.raises(BadSetting, match=said) as caught:
        load_settings(**given)
    assert str(file) in str(caught.value)
    assert name in str(caught.value)


def test_a_secret_and_its_file_are_not_both_given(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(MARKER)
    file = str(tmp_path / "secret")
    with pytest.raises(BadSetting, match="solr_password and solr_password_file are both set"):
        load_settings(solr_password="x", solr_password_file=file)
    with pytest.raises(BadSetting, match=r"either sasl\.password_file or sasl\.password, and both"):
        load_settings(kafka_properties={"sasl.password": "x", "sasl.password_file": file})
