"""What both drivers have in common: which answers are a row's fault, and what is said when a driver is missing."""

import importlib
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from flumen.stores.artifacts import download
from flumen.stores.errors import ArtifactError, DriverMissing, StoreClosed, StoreRefused, StoreUnavailable
from flumen.stores.kudu import KuduOptions, KuduReader, KuduSink, Predicate
from flumen.stores.kudu.driver import (
    Change,
    Write,
    check_listening,
    native_is_installed,
    open_driver,
    row_failures,
    status_error,
)

OPTIONS = KuduOptions(masters="kudu.example:7051")
TOO_LARGE = (
    "Invalid argument: value too large for column 'image' (70000 bytes, maximum is 65536 bytes) (error 0)"
)
KEY_TOO_LARGE = (
    "Invalid argument: encoded primary key too large (17000 bytes, maximum is 16384 bytes) (error 0)"
)

# Kudu 1.18 with --user_acl=somebody, as the Java client tells it.
FORBIDDEN = (
    "Service unavailable: Couldn't find a valid master in (127.0.0.1:17951). Exceptions received: "
    "[org.apache.kudu.client.RpcRemoteException: [peer master-127.0.0.1:17951(127.0.0.1:17951)] server sent "
    "error Not authorized: unauthorized access to method: ConnectToMaster]"
)
# And with --rpc_authentication=required.
HUNG_UP_ON = (
    "Timed out: cannot complete before timeout: KuduRpc(method=ListTables, tablet=null, attempt=13, "
    "TimeoutTracker(timeout=6000, elapsed=5747), Trace Summary(5743 ms): Sent(13), Received(13), Delayed(13), "
    "MasterRefresh(13), AuthRefresh(0), Truncated: false\n Sent: (master-127.0.0.1:17951, [ ConnectToMaster, 13 ])"
    "\n Received: (master-127.0.0.1:17951, [ NETWORK_ERROR, 13 ])\n Delayed: (UNKNOWN, [ ListTables, 13 ]))"
)


def writes(*counts: int, change: Change = "upsert") -> list[Write]:
    return [Write("images", pa.record_batch({"id": ["x"] * count}), change) for count in counts]


def test_a_row_is_to_blame_for_what_is_too_large() -> None:
    statuses = [None, TOO_LARGE, None, None, KEY_TOO_LARGE]
    assert row_failures(statuses, writes(2, 0, 3), OPTIONS) == [{1: TOO_LARGE}, {}, {2: KEY_TOO_LARGE}]


def test_only_what_was_to_be_inserted_may_be_there_already() -> None:
    there = "Already present: key already present (error 0)"
    assert row_failures([None, there], writes(2, change="insert"), OPTIONS) == [{1: there}]
    for change in ("upsert", "delete"):
        with pytest.raises(StoreUnavailable, match=r"kudu\.example:7051.*Already present"):
            row_failures([None, there], writes(2, change=change), OPTIONS)


@pytest.mark.parametrize(
    "status",
    [
        "Invalid argument: Client provided column label STRING NULLABLE not present in tablet (error 0)",
        "Invalid argument: The column 'label' must have type INT32 NULLABLE found STRING NULLABLE (error 0)",
        "Not found: table images was deleted: Table deleted at 2026-11-26 10:49:51 UTC (error 0)",
    ],
)
def test_no_row_is_to_blame_for_a_table_that_was_altered(status: str) -> None:
    with pytest.raises(StoreRefused, match="start again") as caught:
        row_failures([None, TOO_LARGE, status], writes(3), OPTIONS)
    assert status in str(caught.value)


@pytest.mark.parametrize(
    "status", ["Timed out: waited 30 s", "Service unavailable: memory", "IO error: disk full"]
)
def test_a_server_in_trouble_fails_the_flush(status: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"kudu\.example:7051.*" + status.partition(":")[0]) as caught:
        row_failures([None, TOO_LARGE, status], writes(3), OPTIONS)
    assert caught.value.retriable


@pytest.mark.parametrize("status", ["Not found: the table was deleted", "Not authorized: no UPDATE"])
def test_a_refusal_is_not_retried(status: str) -> None:
    error = status_error(status, OPTIONS)
    assert type(error) is StoreRefused
    assert not error.retriable
    assert status in str(error)


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (
            FORBIDDEN,
            StoreRefused,
            "does not let this user in: Not authorized: unauthorized access to method: ConnectToMaster. Run as a user",
        ),
        (
            HUNG_UP_ON,
            StoreUnavailable,
            "wants Kerberos, get a ticket with kinit; if it is no Kudu master, correct FLUMEN_KUDU_MASTERS",
        ),
    ],
)
def test_who_is_not_let_in_is_told_so(status: str, kind: type[Exception], said: str) -> None:
    error = status_error(status, OPTIONS)
    assert type(error) is kind
    assert said in str(error)
    assert "flumen up" not in str(error)


def test_a_host_that_is_nobodys_is_called_so() -> None:
    with pytest.raises(
        StoreUnavailable, match=r"no host 'no-such\.invalid' \(.*\): correct FLUMEN_KUDU_MASTERS"
    ):
        check_listening(KuduOptions(masters="no-such.invalid:7051,no-such.invalid"))
    with pytest.raises(
        StoreUnavailable, match=r"127\.0\.0\.1:1: .* refused; there is no host 'no-such\.invalid'"
    ):
        check_listening(KuduOptions(masters="no-such.invalid:7051,127.0.0.1:1"))


def test_a_long_story_is_cut() -> None:
    message = str(status_error("Timed out: " + "Sent(13), Received(13) " * 500, OPTIONS))
    assert len(message) < 500
    assert "flumen up" in message


def test_jars_of_a_class_path_have_to_be_there(tmp_path: Path) -> None:
    jar = tmp_path / "kudu-client.jar"
    with pytest.raises(DriverMissing, match=r"kudu-client\.jar.*downloaded"):
        open_driver(KuduOptions(masters="localhost:1", driver="jvm", classpath=(jar,)))


def test_the_native_driver_says_how_it_is_installed() -> None:
    expected, message = (
        (StoreUnavailable, "localhost:1") if native_is_installed() else (DriverMissing, "docs/kudu.md")
    )
    with pytest.raises(expected, match=message):
        open_driver(KuduOptions(masters="localhost:1", driver="native", timeout_s=1))


def test_a_closed_reader_stays_closed() -> None:
    reader = KuduReader(OPTIONS)
    reader.close()
    reader.close()
    with pytest.raises(StoreClosed):
        reader.count()


def test_a_sink_is_named_and_connects_late() -> None:
    sink = KuduSink(OPTIONS, ())
    assert sink.name == "kudu"
    sink.close()


@pytest.mark.parametrize(
    ("predicate", "text"),
    [
        (Predicate("label", "=", ("it's",)), 'label = "it\'s"'),
        (Predicate("prediction", "in", (1, 2)), "prediction in (1, 2)"),
        (Predicate("knownlabel", "is not null"), "knownlabel is not null"),
    ],
)
def test_predicates_read_like_sql(predicate: Predicate, text: str) -> None:
    assert str(predicate) == text


def test_without_a_class_path_the_pinned_jars_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUMEN_CACHE", str(tmp_path))
    monkeypatch.setenv("FLUMEN_MAVEN_REPOSITORY", "http://127.0.0.1:9/nothing")
    monkeypatch.setattr(download.fetch, "__defaults__", (1,))
    with pytest.raises(ArtifactError, match=r"cannot download .*FLUMEN_MAVEN_REPOSITORY") as caught:
        open_driver(KuduOptions(masters="localhost:1", driver="jvm"))
    assert not caught.value.retriable, "a worker that cannot have its driver ends, and says so"


def test_a_folder_of_its_name_is_no_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "kudu", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert not native_is_installed()
    (tmp_path / "kudu").mkdir()
    importlib.invalidate_caches()
    assert not native_is_installed()
    (tmp_path / "kudu" / "__init__.py").touch()
    importlib.invalidate_caches()
    assert native_is_installed()
