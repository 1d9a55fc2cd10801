"""Who may swap: what is signed, and what is taken for forged."""

import base64
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flumen.streams.control.keys import (
    KEY_HEADER,
    SIGNATURE_HEADER,
    Keyring,
    key_id,
    new_key_pair,
    read_private_key,
    sign,
)
from flumen.streams.errors import BadKey, BadSetting, RecordForged
from flumen.streams.kafka.message import Headers
from flumen.streams.settings import load_settings

TOPIC, KEY, VALUE = "models.control", b"mnist", b'{"revision": 1}'
PAIR, OTHER = new_key_pair(), new_key_pair()
RING = Keyring([PAIR.public])


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Headers:
    return headers_by(PAIR.private, tmp_path_factory.mktemp("keys"))


def headers_by(private: bytes, folder: Path) -> Headers:
    path = folder / "key.pem"
    path.write_bytes(private)
    return cast(Headers, tuple(sign(read_private_key(path), TOPIC, KEY, VALUE)))


def test_a_signed_record_is_taken(signed: Headers) -> None:
    RING.check(TOPIC, KEY, VALUE, signed)
    Keyring([OTHER.public, PAIR.public]).check(TOPIC, KEY, VALUE, (("more", b"x"), *signed))


@pytest.mark.parametrize(
    ("topic", "key", "value"),
    [
        ("other", KEY, VALUE),
        (TOPIC, b"other", VALUE),
        (TOPIC, KEY, VALUE + b" "),
        (TOPIC, b"mnist\n", VALUE[1:]),
    ],
)
def test_a_signature_belongs_to_one_record(signed: Headers, topic: str, key: bytes, value: bytes) -> None:
    with pytest.raises(RecordForged, match="does not match"):
        RING.check(topic, key, value, signed)


def test_without_a_signature_it_is_forged(signed: Headers) -> None:
    for headers in ((), signed[:1], signed[1:], ((KEY_HEADER, None), signed[1])):
        with pytest.raises(RecordForged, match="not signed"):
            RING.check(TOPIC, KEY, VALUE, headers)


def test_a_key_that_may_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordForged, match=key_id(OTHER.public)):
        RING.check(TOPIC, KEY, VALUE, headers_by(OTHER.private, tmp_path))


@given(st.binary(max_size=100) | st.binary(max_size=100).map(base64.b64encode))
def test_no_bytes_pass_for_a_signature(signature: bytes) -> None:
    headers = ((KEY_HEADER, key_id(PAIR.public).encode()), (SIGNATURE_HEADER, signature))
    with pytest.raises(RecordForged):
        RING.check(TOPIC, KEY, VALUE, headers)


def test_a_header_that_stands_there_twice_is_no_proof(signed: Headers) -> None:
    with pytest.raises(RecordForged, match="twice"):
        RING.check(TOPIC, KEY, VALUE, (*signed, *signed))


def test_an_empty_ring_takes_everything() -> None:
    Keyring(()).check(TOPIC, KEY, VALUE, ())


@pytest.mark.parametrize("public", ["", "no base64!", "é", base64.b64encode(b"short").decode()])
def test_what_is_no_public_key_is_said(public: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(BadKey, match="flumen keys new"):
        Keyring([public])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadSetting, match=r"control_public_keys.*no public key"):
        load_settings(control_public_keys=[public])


@pytest.mark.parametrize("content", [b"", b"not PEM", PAIR.private[:60]], ids=["empty", "other", "cut"])
def test_what_is_no_private_key_is_said(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(BadKey, match=r"key\.pem"):
        read_private_key(path)
    with pytest.raises(BadKey, match="flumen keys new"):
        read_private_key(tmp_path / "none.pem")
