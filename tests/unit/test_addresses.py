"""What is no address is told by the settings, before any driver meets it."""

import pytest

from flumen.stores.addresses import split_addresses
from flumen.streams.errors import BadSetting
from flumen.streams.settings import load_settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kudu-1:7051, kudu-2:7052", [("kudu-1", 7051), ("kudu-2", 7052)]),
        ("kudu-1", [("kudu-1", 7)]),
        ("127.0.0.1:7051,", [("127.0.0.1", 7051)]),
        ("[::1]:7051", [("::1", 7051)]),
        ("[fe80::1%eth0]", [("fe80::1%eth0", 7)]),
        ("k\u00fcche:1", [("k\u00fcche", 1)]),
    ],
)
def test_addresses_are_taken_apart(text: str, expected: list[tuple[str, int]]) -> None:
    assert split_addresses(text, 7) == expected


WRONG = [
    "",
    ",",
    "127.0.0.1:7051/",
    ".kudu:7051",
    "a:b:c",
    "a:b",
    "a:0",
    "a:99999",
    ":",
    "a..b:1",
    "[::1",
    "[x]:1",
    "::1",
    "a b:1",
]


@pytest.mark.parametrize("name", ["kudu_masters", "kafka_servers"])
@pytest.mark.parametrize("value", WRONG)
def test_what_is_no_address_is_a_bad_setting(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"{name} is|give at least one host:port"):
        load_settings(**{name: value})


@pytest.mark.parametrize(
    "url", ["http://[::1/solr", "http://", "http://a:99999/solr", "http://a..b/solr", "http://.a/solr"]
)
def test_what_is_no_solr_url_is_a_bad_setting(url: str) -> None:
    with pytest.raises(BadSetting, match="must be like http://host:8983/solr"):
        load_settings(solr_url=url)


def test_kafka_s_addresses_may_name_a_protocol() -> None:
    assert load_settings(kafka_servers="SASL_SSL://a:1,b:2").kafka_servers == "SASL_SSL://a:1,b:2"
