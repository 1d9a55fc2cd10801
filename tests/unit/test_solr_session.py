"""How Solr is asked: against real servers on this machine, one of them taken for a proxy."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from certificates import Authority
from recorder import Recorder, serving

from flumen.stores.errors import StoreError, StoreRefused, StoreUnavailable
from flumen.stores.proxies import find_proxy, is_this_machine
from flumen.stores.solr import SolrOptions, SolrReader

MARKER = "hunter2"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture
def serve() -> Iterator[Callable[..., Recorder]]:
    with ExitStack() as stack:
        yield lambda certificate=None: stack.enter_context(serving(certificate))


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def asked(url: str, **more: object) -> StoreError:
    """Ask a Solr for something, and return what is said of it."""
    options = SolrOptions(url=url, username="me", password=MARKER, timeout_s=5, **more)  # type: ignore[arg-type]
    reader = SolrReader(options)
    with pytest.raises(StoreError) as caught:
        reader.count()
    reader.close()
    assert MARKER not in str(caught.value)
    assert MARKER not in repr(options)
    return caught.value


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_a_solr_on_this_machine_is_asked_directly(
    variable: str, serve: Callable[..., Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, solr = serve(), serve()
    monkeypatch.setenv(variable, f"http://me:{MARKER}@127.0.0.1:{proxy.server_port}")
    for host in ("127.0.0.1", "localhost", "127.8.9.10"):
        error = asked(f"http://{host}:{solr.server_port}/solr")
        assert "proxy" not in str(error)
    assert proxy.asked == []
    assert len(solr.asked) == 2  # nobody listens at the third


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_another_solr_is_asked_through_the_proxy_which_an_error_names(
    variable: str, serve: Callable[..., Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve()
    address = f"127.0.0.1:{proxy.server_port}"
    monkeypatch.setenv(variable, f"http://me:{MARKER}@{address}")
    error = asked("http://solr.example:8983/solr")
    assert proxy.asked[0].startswith("http://solr.example:8983/solr/images/select")
    assert f"HTTP 502: Bad Gateway (it was asked through the proxy http://{address} of {variable};" in str(
        error
    )
    proxy.shutdown()
    proxy.server_close()
    error = asked("http://solr.example:8983/solr")
    assert "Connection refused" in str(error)
    assert f"the proxy http://{address} of {variable}" in str(error)


def test_https_goes_through_its_own_proxy(
    serve: Callable[..., Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve()
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server_port}")
    assert "502 Bad Gateway" in str(error := asked("https://solr.example:8984/solr"))
    assert "of HTTPS_PROXY; NO_PROXY" in str(error)
    assert proxy.asked == ["solr.example:8984"]


def test_no_proxy_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    assert find_proxy("http://solr.example/solr") is not None
    monkeypatch.setenv("NO_PROXY", ".example,10.0.0.0/8")
    assert find_proxy("http://solr.example/solr") is None
    assert find_proxy("http://10.1.2.3/solr") is None
    assert find_proxy("http://solr.other/solr") is not None


def test_a_proxy_that_is_no_url_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:{MARKER}@[::1")
    assert "of HTTP_PROXY" in str(asked("http://solr.example/solr"))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("solr.localhost", True),
        ("127.0.0.1", True),
        ("127.255.0.1", True),
        ("::1", True),
        ("0.0.0.0", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_what_this_machine_is_called(host: str, expected: bool) -> None:
    assert is_this_machine(host) is expected


def test_a_certificate_that_is_not_trusted_is_called_so(
    serve: Callable[..., Recorder], tmp_path: Path
) -> None:
    authority = Authority.make()
    file = authority.save(tmp_path / "authority.pem")
    other = Authority.make().save(tmp_path / "other.pem")

    right = serve(authority.sign("127.0.0.1", tmp_path / "right.pem"))
    url = f"https://127.0.0.1:{right.server_port}/solr"
    assert type(asked(url, ca_file=file)) is StoreUnavailable  # it answers: 502
    for trusted in (None, other):
        error = asked(url, ca_file=trusted)
        assert type(error) is StoreRefused
        assert "is signed by an authority that is not trusted here: " in str(error)
        assert "Set FLUMEN_SOLR_CA_FILE" in str(error)
        assert "flumen up" not in str(error)

    named = serve(authority.sign("solr.example", tmp_path / "named.pem"))
    error = asked(f"https://127.0.0.1:{named.server_port}/solr", ca_file=file)
    assert type(error) is StoreRefused
    assert "for another host: IP address mismatch, certificate is not valid for '127.0.0.1'" in str(error)

    late = serve(authority.sign("127.0.0.1", tmp_path / "late.pem", days=-1))
    assert "has expired" in str(asked(f"https://127.0.0.1:{late.server_port}/solr", ca_file=file))

    plain = serve()
    assert "speaks no TLS. Let FLUMEN_SOLR_URL begin with http://" in str(
        asked(f"https://127.0.0.1:{plain.server_port}/solr", ca_file=file)
    )


def test_a_file_of_authorities_that_is_none_is_named(serve: Callable[..., Recorder], tmp_path: Path) -> None:
    solr = serve(Authority.make().sign("127.0.0.1", tmp_path / "solr.pem"))
    url = f"https://127.0.0.1:{solr.server_port}/solr"
    (tmp_path / "empty.pem").write_text("nothing")
    for file in (tmp_path / "missing.pem", tmp_path / "empty.pem"):
        error = asked(url, ca_file=file)
        assert type(error) is StoreRefused
        assert "FLUMEN_SOLR_CA_FILE" in str(error)


def test_the_environments_authorities_count_unless_one_is_set(
    serve: Callable[..., Recorder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority.make()
    solr = serve(authority.sign("127.0.0.1", tmp_path / "solr.pem"))
    url = f"https://127.0.0.1:{solr.server_port}/solr"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.save(tmp_path / "authority.pem")))
    assert "HTTP 502" in str(asked(url))
    assert "not trusted" in str(asked(url, ca_file=Authority.make().save(tmp_path / "other.pem")))


def test_a_name_that_is_nobodys_is_called_so() -> None:
    error = asked("http://no-such-host.invalid:8983/solr")
    assert type(error) is StoreUnavailable  # names may come later
    assert "there is no host 'no-such-host.invalid'" in str(error)


@pytest.mark.parametrize(
    ("status", "said"), [(401, "The user name or the password is wrong"), (403, "a user who may")]
)
def test_a_wrong_password_is_called_so(status: int, said: str, serve: Callable[..., Recorder]) -> None:
    solr = serve()
    solr.status = status
    error = asked(f"http://127.0.0.1:{solr.server_port}/solr")
    assert type(error) is StoreRefused
    assert said in str(error)
    assert "flumen up" not in str(error)
