"""Who may swap: Ed25519 keys, and the signature over a record that stands in its headers.

What is signed is the topic, the key and the value with a line feed between them, so that a record cannot be moved to
another topic or model. Source of the signature: RFC 8032.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from flumen.streams.errors import BadKey, RecordForged
from flumen.streams.kafka.message import Headers, SentHeaders

KEY_HEADER = "flumen.key"
SIGNATURE_HEADER = "flumen.signature"
KEY_BYTES = 32
KEY_ID_CHARACTERS = 16
MAX_KEY_FILE_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class KeyPair:
    """`private` is PKCS 8 in PEM, for a file of the operator's; `public` is base64, for the workers' settings."""

    private: bytes
    public: str


def new_key_pair() -> KeyPair:
    """Make a key pair."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return KeyPair(pem, public_key(private))


def key_id(public: str) -> str:
    """Return the name of a public key: the first 16 hexadecimal digits of the sha256 of its 32 bytes.

    Raises:
        BadKey: it is no public key in base64.
    """
    return hashlib.sha256(_raw(public)).hexdigest()[:KEY_ID_CHARACTERS]


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key from the file that `flumen keys new` wrote.

    Raises:
        BadKey: the file cannot be read, or holds no such key.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise BadKey(
            f"the private key {path} cannot be read: {error.strerror}. Make one with `flumen keys new`, or set "
            "FLUMEN_CONTROL_PRIVATE_KEY_FILE"
        ) from error
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (
        ValueError,
        TypeError,
    ) as error:  # what cryptography raises for no PEM, and for one with a password
        raise BadKey(f"{path} holds no private key in PEM without a password: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey(f"{path} holds a key of another kind than Ed25519; make one with `flumen keys new`")
    return key


def public_key(private: Ed25519PrivateKey) -> str:
    """Return the public half in base64, as it stands in the workers' settings."""
    return base64.b64encode(private.public_key().public_bytes_raw()).decode()


def sign(private: Ed25519PrivateKey, topic: str, key: bytes, value: bytes) -> SentHeaders:
    """Return the headers that prove who wrote a record."""
    public = public_key(private)
    signature = base64.b64encode(private.sign(_signed(topic, key, value)))
    return [(KEY_HEADER, key_id(public).encode()), (SIGNATURE_HEADER, signature)]


class Keyring:
    """The public keys that may sign. An empty one takes everything, signed or not."""

    def __init__(self, public_keys: Iterable[str]) -> None:
        """Take public keys in base64.

        Raises:
            BadKey: one of them is none.
        """
        self._keys: Mapping[str, Ed25519PublicKey] = {
            key_id(public): Ed25519PublicKey.from_public_bytes(_raw(public)) for public in public_keys
        }

    def __len__(self) -> int:
        return len(self._keys)

    def check(self, topic: str, key: bytes, value: bytes, headers: Headers) -> None:
        """Check the signature of a record.

        Raises:
            RecordForged: there is none, its key is not one of these, or it does not match.
        """
        if not self._keys:
            return
        given = dict(headers)
        if len(given) != len(headers):
            raise RecordForged("the record has a header twice; its signature cannot be told")
        name, signature = given.get(KEY_HEADER), given.get(SIGNATURE_HEADER)
        if not name or not signature:
            raise RecordForged(
                "the record is not signed; set FLUMEN_CONTROL_PRIVATE_KEY_FILE where it is written"
            )
        public = self._keys.get(name.decode("ascii", "replace"))
        if public is None:
            raise RecordForged(
                f"the record is signed by the key {name[:KEY_ID_CHARACTERS]!r}, which is not one of "
                f"FLUMEN_CONTROL_PUBLIC_KEYS ({', '.join(self._keys)})"
            )
        try:
            public.verify(base64.b64decode(signature, validate=True), _signed(topic, key, value))
        except (InvalidSignature, binascii.Error) as error:
            raise RecordForged("the record's signature does not match what it says") from error


def _signed(topic: str, key: bytes, value: bytes) -> bytes:
    return topic.encode() + b"\n" + key + b"\n" + value


def _raw(public: str) -> bytes:
    try:
        raw = base64.b64decode(public, validate=True)
    except ValueError as error:  # not base64, or not even ASCII
        raise BadKey(f"{public[:60]!r} is no public key: it is not base64. {_HOW}") from error
    if len(raw) != KEY_BYTES:
        raise BadKey(f"{public[:60]!r} is no public key: it has {len(raw)} bytes, not {KEY_BYTES}. {_HOW}")
    return raw


_HOW = "`flumen keys new` prints one"
