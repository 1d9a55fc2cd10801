"""A value for every secret setting, found by type, that nobody may ever read."""

from typing import Any

from flumen.streams.settings import Settings
from flumen.streams.settings.wrong import is_secret

MARKER = "hunter2-is-on-no-screen"
KNOWN_TO_LIBRDKAFKA = ("sasl.password", "ssl.key.password", "ssl.key.pem", "ssl.keystore.password")
SECRETS = [name for name, field in Settings.model_fields.items() if is_secret(field)]


def value_of(name: str) -> Any:
    """A value with the marker for a secret setting, by its type."""
    if name == "stores":
        return {"files": {"url": f"nope://me:{MARKER}@host/path?token={MARKER}", "password": MARKER}}
    annotation = str(Settings.model_fields[name].annotation)
    if "dict" in annotation:
        return dict.fromkeys(KNOWN_TO_LIBRDKAFKA, MARKER) | {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "me",
        }
    return f"nope://me:{MARKER}@host/path?token={MARKER}" if "Url" in annotation else MARKER


def all_secrets() -> dict[str, Any]:
    return {name: value_of(name) for name in SECRETS}
