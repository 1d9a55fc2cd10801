"""What nobody may read: values that are masked wherever they are shown, and how they are had where they are used.

A password is a `SecretStr`, a URL that may carry one a `SecretUrl`. Every secret setting has a twin whose name ends in
`_file`, and so has every secret property of Kafka's client: the file that holds the value. It is read when the value
is used, so that the settings never hold it.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Secret, SecretStr

from flumen.models.urls import SecretUrl, without_passwords
from flumen.streams.errors import BadSetting

MASK = "***"
FILE_SUFFIX = "_file"

_SECRET = re.compile(r"passw|secret|\.pem|jaas|token|credential|auth", re.IGNORECASE)
_OF_SECURITY = re.compile(r"sasl\.|ssl\.", re.IGNORECASE)
# Those of sasl.* and ssl.* that are no secrets. All others are: also one that is misspelt.
_NO_SECRETS = re.compile(
    r"sasl\.(mechanisms?|username|kerberos\.(service\.name|principal|keytab|min\.time\.before\.relogin)"
    r"|oauthbearer\.(method|client\.id|scope|token\.endpoint\.url|jwks\.\w+|grant\.type))"
    r"|ssl\.(\w+\.)?location|ssl\.(cipher\.suites|curves\.list|sigalgs\.list|providers|engine\.id)"
    r"|ssl\.(ca\.certificate\.stores|endpoint\.identification\.algorithm)"
    r"|enable\.[\w.]+",
    re.IGNORECASE,
)
_LARGEST_FILE_BYTES = 1_000_000


def is_secret_property(name: str) -> bool:
    """Say whether a property of Kafka's client holds a secret, or may hold one."""
    if _NO_SECRETS.fullmatch(name):
        return False
    return bool(_SECRET.search(name) or _OF_SECURITY.match(name))


def _as_texts(properties: Any) -> Any:
    """Let TOML and JSON have numbers and truth values where librdkafka wants texts."""
    if not isinstance(properties, dict):
        return properties
    return {
        name: str(value).lower() if isinstance(value, (bool, int, float)) else value
        for name, value in properties.items()
    }


def _mask_properties(properties: dict[str, str | SecretStr]) -> dict[str, str | SecretStr]:
    return _mask(properties, "kafka_properties")


def _mask_tables(tables: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        store: {
            name: SecretUrl(value) if isinstance(value, str) and "://" in value else value
            for name, value in _mask(table, f"stores.{store}").items()
        }
        for store, table in tables.items()
    }


def _mask(properties: dict[str, Any], setting: str) -> dict[str, Any]:
    for name in properties:
        of = name.removesuffix(FILE_SUFFIX)
        if of != name and of in properties:
            raise ValueError(f"either {name} or {of}, and both are given")
    client_properties(properties, setting)  # reads the files
    return {
        name: SecretStr(value) if isinstance(value, str) and _holds_secret(name) else value
        for name, value in properties.items()
    }


def _holds_secret(name: str) -> bool:
    return is_secret_property(name) and not _names_file(name)


def _names_file(name: str) -> bool:
    return name.endswith(FILE_SUFFIX) and is_secret_property(name.removesuffix(FILE_SUFFIX))


ClientProperties = Annotated[
    dict[str, str | SecretStr], BeforeValidator(_as_texts), AfterValidator(_mask_properties)
]
"""Properties of librdkafka by name; those that hold a secret are masked."""
StoreTables = Annotated[
    dict[str, dict[str, bool | int | float | str | SecretStr | SecretUrl]], AfterValidator(_mask_tables)
]
"""Options of stores, a table each; those that hold a secret, by their names, are masked, and the passwords of URLs."""


def revealed(value: Any) -> Any:
    """Return what a setting really is: a secret's own value, a mapping with those of its secrets."""
    if isinstance(value, (Secret, SecretStr)):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {name: revealed(entry) for name, entry in value.items()}
    return value


def shown(value: Any) -> Any:
    """Return a setting as it may be shown: a secret masked, a mapping with its secrets masked."""
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, Secret):
        return str(value)
    if isinstance(value, Mapping):
        return {name: shown(entry) for name, entry in value.items()}
    return without_passwords(value) if isinstance(value, str) else value


def client_properties(properties: Mapping[str, Any], setting: str) -> dict[str, Any]:
    """Return the properties as a client takes them: secrets in clear, those in files read. `setting` has them.

    Raises:
        BadSetting: a file cannot be read.
    """
    given: dict[str, Any] = {}
    for name, value in revealed(properties).items():
        if _names_file(name):
            given[name.removesuffix(FILE_SUFFIX)] = read_secret(Path(value), f"{setting}, {name}")
        else:
            given[name] = value
    return given


def is_content(path: object) -> bool:
    """Say whether what should name a file is what is in one: it has several lines."""
    return bool(set("\n\r\0") & set(str(path)))


def read_secret(path: Path, name: str) -> str:
    """Return what a file holds, without the line break at its end. `name` is the setting that names the file.

    Raises:
        BadSetting: it cannot be read, is empty, or is no text.
    """
    if is_content(path):
        raise BadSetting(f"the setting {name} asks for the name of a file, and not for what is in it")
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_FILE_BYTES).decode()
    except OSError as error:
        raise BadSetting(
            f"the file {path} of the setting {name} cannot be read: {error.strerror}. Name one that holds the secret "
            "and that this user may read"
        ) from error
    except UnicodeDecodeError as error:
        raise BadSetting(f"the file {path} of the setting {name} is no text in UTF-8") from error
    secret = content.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise BadSetting(f"the file {path} of the setting {name} is empty")
    return secret
