"""The pytest plugin, seen from a test session of its own, and the removal of what tests leave behind."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import loopback
import psutil
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from flumen.stack import kudu
from flumen.stack.leftovers import remove_leftovers
from flumen.stores.artifacts import pinned
from flumen.stores.kudu.jars import LOCK_FILE
from flumen.streams.settings import Settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "python.md"
TABLE = (
    '{"table_name": "NAME", "schema": {"columns": [{"column_name": "id", "column_type": "INT32"}],'
    ' "key_column_names": ["id"]}, "partition": {"hash_partitions": [{"columns": ["id"], "num_buckets": 2}]}}'
)
SESSION = """
import pytest, requests

def test_that_fails(flumen_stack, flumen_names):
    assert requests.get(flumen_stack.solr_url + "/admin/info/system", timeout=30).ok
    print("names", flumen_names)
    pytest.fail("on purpose")
"""


def names(stack: Any) -> tuple[set[str], set[str], set[str]]:
    """Topics, cores and tables that are there."""
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    topics = set(admin.list_topics(timeout=60).topics)
    status = loopback.get(f"{stack.solr_url}/admin/cores", params={"action": "STATUS"}, timeout=60).json()
    tables = kudu.ask("table", "list", stack.kudu_masters)
    assert tables is not None
    return topics, set(status["status"]), set(tables.split())


def make(stack: Any, topic: str, core: str, table: str) -> None:
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    admin.create_topics([NewTopic(topic, 1)])[topic].result(60)
    created = {"action": "CREATE", "name": core, "configSet": "flumen"}
    assert loopback.get(f"{stack.solr_url}/admin/cores", params=created, timeout=60).ok
    assert kudu.ask("table", "create", stack.kudu_masters, TABLE.replace("NAME", table)) is not None


@pytest.mark.skipif(
    os.environ.get("FLUMEN_TEST_STACK") == "docker", reason="Kudu's tool is not on this machine"
)
def test_what_a_test_made_is_removed_and_nothing_else(flumen_stack: Any, flumen_names: Any) -> None:
    make(flumen_stack, flumen_names.images_topic, flumen_names.solr_core, f"{flumen_names.kudu_prefix}images")
    topics, cores, tables = names(flumen_stack)
    remove_leftovers(flumen_stack, "no such suffix")
    assert names(flumen_stack) == (topics, cores, tables)
    remove_leftovers(flumen_stack, flumen_names.suffix)
    left = names(flumen_stack)
    assert left[0] == topics - {flumen_names.images_topic}
    assert left[1] == cores - {flumen_names.solr_core}
    assert left[2] == tables - {f"{flumen_names.kudu_prefix}images"}


def test_names_are_unique_and_carry_the_suffix(flumen_names: Any) -> None:
    values = [getattr(flumen_names, name) for name in flumen_names.__slots__]
    assert len(set(values)) == len(values)
    assert all(flumen_names.suffix in value for value in values)


def test_the_class_path_is_there(flumen_kudu_classpath: list[Path]) -> None:
    assert [path.stat().st_size for path in flumen_kudu_classpath] == [
        a.size for a in pinned(LOCK_FILE)["kudu-client"]
    ]


def test_the_settings_of_the_names_are_flumens(
    flumen_environment: dict[str, str], settings: Settings
) -> None:
    """Else a command would run under a name that nobody removes, or that another test has."""
    names = [
        name for name in Settings.model_fields if name.endswith(("_topic", "_core", "_prefix", "group_id"))
    ]
    names.remove("classified_topic")  # off unless set
    assert {
        f"FLUMEN_{name.upper()}" for name in (*names, "kafka_servers", "kudu_masters", "solr_url")
    } == set(flumen_environment)
    for name, value in flumen_environment.items():
        assert getattr(settings, name.removeprefix("FLUMEN_").lower()) == value


def run_session(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_session.py").write_text(SESSION)
    for example in re.findall(r"```python\n(# (test_\w+\.py)\n.*?)```", DOCUMENT.read_text(), re.DOTALL):
        (tmp_path / example[1]).write_text(example[0])
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        env={**os.environ, "FLUMEN_TEST_STACK_HOME": "", "TMPDIR": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def test_a_failing_session_leaves_no_server_and_no_data(tmp_path: Path) -> None:
    done = run_session(tmp_path, FLUMEN_TEST_STACK="local")
    assert done.returncode == 1
    assert "on purpose" in done.stdout
    assert "1 failed, 2 passed" in done.stdout, done.stdout  # the two examples of docs/python.md
    assert "images_topic='images-" in done.stdout
    assert list(tmp_path.glob("flumen-test-*")) == []
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert not any(str(tmp_path) in command for command in commands)


def test_a_wrong_choice_is_told(tmp_path: Path) -> None:
    done = run_session(tmp_path, FLUMEN_TEST_STACK="podman")
    assert done.returncode != 0
    assert "FLUMEN_TEST_STACK is 'podman'; allowed are docker, local and auto" in done.stdout
