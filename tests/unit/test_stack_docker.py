"""`docker-compose.yml`: what it pins, and that Compose accepts it where Compose is installed."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from flumen.stack import docker
from flumen.stack.docker import COMPOSE_FILE
from flumen.stack.errors import DockerUnavailable
from flumen.stack.layout import Endpoints

SERVERS = {"kafka", "kudu-master", "kudu-tserver", "solr"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
    return content


def test_every_image_has_a_pinned_tag(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == SERVERS | {"worker"}
    for service in compose["services"].values():
        assert re.fullmatch(r"[a-z/-]+:\d+\.\d+\.\d+(\.dev\d+)?", service["image"])
    version = tomllib.loads(COMPOSE_FILE.with_name("pyproject.toml").read_text())["project"]["version"]
    assert compose["services"]["worker"]["image"] == f"flumen-worker:{version}"


def test_every_service_has_a_health_check_and_a_named_volume(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
        named = {volume.partition(":")[0] for volume in service["volumes"]}
        assert named & set(compose["volumes"])


def test_ports_are_published_on_this_machine_only(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    for name, default in docker.DEFAULT_PORTS.items():
        assert any(port.startswith(f"127.0.0.1:${{{name}:-{default}}}:") for port in published)
    assert len(published) == len(docker.DEFAULT_PORTS)


def test_workers_start_on_request(compose: dict[str, Any]) -> None:
    worker = compose["services"]["worker"]
    assert worker["profiles"] == ["workers"]
    assert worker["deploy"]["replicas"] > 1
    assert {*worker["depends_on"]} == {"kafka", "kudu-tserver", "solr"}
    assert all("profiles" not in compose["services"][name] for name in SERVERS)


def test_solr_gets_the_projects_config_set(compose: dict[str, Any]) -> None:
    mount = "./stores/solr/configset}:/opt/solr/server/solr/configsets/flumen:ro"
    assert any(volume.endswith(mount) for volume in compose["services"]["solr"]["volumes"])
    assert (COMPOSE_FILE.parent / "stores" / "solr" / "configset" / "conf").is_dir()


def test_messages_may_be_as_large_as_on_the_local_stack(compose: dict[str, Any]) -> None:
    from flumen.stack.kafka import MAX_MESSAGE_BYTES

    environment = compose["services"]["kafka"]["environment"]
    assert environment["KAFKA_MESSAGE_MAX_BYTES"] == str(MAX_MESSAGE_BYTES)
    assert environment["KAFKA_REPLICA_FETCH_MAX_BYTES"] == str(MAX_MESSAGE_BYTES)


def compose_programs() -> list[list[str]]:
    found = []
    for command in (["docker", "compose"], ["docker-compose"]):
        program = shutil.which(command[0])
        if (
            program
            and subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0
        ):
            found.append(command)
    return found


@pytest.mark.parametrize("profile", [[], ["--profile", "workers"]])
def test_compose_accepts_the_file(profile: list[str]) -> None:
    programs = compose_programs()
    if not programs:
        pytest.skip("Compose is not installed here")
    for program in programs:
        command = [*program, *profile, "--file", str(COMPOSE_FILE), "config", "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "error" not in done.stderr.lower()


def test_without_an_engine_the_error_says_what_else_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not docker.available()
    with pytest.raises(
        DockerUnavailable, match="no Docker engine answers; start Docker, or use `flumen up` without"
    ):
        docker.up(tmp_path)


def test_without_the_compose_file_the_error_names_it(tmp_path: Path) -> None:
    with pytest.raises(DockerUnavailable, match=r"there is no .*absent\.yml; run .* from a checkout"):
        docker.up(tmp_path, tmp_path / "absent.yml")


def test_published_ports_come_from_the_environment() -> None:
    ports = docker.ports({"FLUMEN_KAFKA_PORT": "19092", "FLUMEN_SOLR_PORT": ""})
    assert docker.endpoints(ports) == Endpoints(
        "127.0.0.1:19092", "127.0.0.1:7051", "http://127.0.0.1:8983/solr"
    )


def test_the_worker_image_is_built_from_the_lock_file_as_another_user() -> None:
    lines = (COMPOSE_FILE.parent / "Dockerfile").read_text().splitlines()
    text = "\n".join(lines)
    assert all(":" in line.split()[1] for line in lines if line.startswith("FROM "))
    assert "--require-hashes -r /tmp/requirements.lock" in text
    assert "pip install --no-cache-dir --no-deps" in text
    assert "USER flumen" in lines
    assert lines[-2:] == ['ENTRYPOINT ["flumen"]', 'CMD ["worker"]']
    assert os.path.lexists(COMPOSE_FILE.parent / "requirements.lock")
