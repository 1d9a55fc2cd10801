"""The types of settings that have rules of their own."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from flumen.stores.addresses import split_addresses
from flumen.stores.errors import StoreError
from flumen.stores.kudu.options import DEFAULT_PORT
from flumen.stores.solr.options import SolrOptions
from flumen.streams.control.keys import Keyring
from flumen.streams.errors import BadKey
from flumen.streams.kafka.options import split_brokers
from flumen.streams.kafka.properties import refused_properties
from flumen.streams.secrets import ClientProperties, StoreTables, is_content, revealed

OF_SETTINGS = ("kudu", "solr")
"""The stores whose options are settings of their own."""


def _public_keys(keys: tuple[str, ...]) -> tuple[str, ...]:
    try:
        Keyring(keys)
    except BadKey as error:
        raise ValueError(str(error)) from error
    return keys


def _brokers(addresses: str) -> str:
    split_brokers(addresses)
    return addresses


def _no_own(properties: dict[str, Any]) -> dict[str, Any]:
    if refused := refused_properties(revealed(properties)):
        raise ValueError("; ".join(refused) + ". Leave out, or correct, what is named here")
    return properties


def _masters(addresses: str) -> str:
    split_addresses(addresses, DEFAULT_PORT)
    return addresses


def _solr_url(url: str) -> str:
    try:
        SolrOptions(url=url)
    except StoreError as error:
        raise ValueError(str(error)) from error
    return url


def _file_name(path: Path) -> Path:
    if is_content(path):
        raise ValueError("it is the name of a file that is asked for, and not what is in it")
    return path


def _no_folder(name: str) -> str:
    if name in (".", ".."):
        raise ValueError("that is a folder's name, and none that a server takes; name another")
    return name


def _odd(replicas: int) -> int:
    if replicas % 2 == 0:
        raise ValueError("Kudu's replicas vote, and so their number is odd: 1, 3, 5 or 7")
    return replicas


def _stores(tables: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    for name in OF_SETTINGS:
        if name in tables:
            raise ValueError(f"{name} has no table here, but settings of its own: {name}_timeout_s and so on")
    return tables


def _sinks(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("each store is written to once; name each once")
    return names


Brokers = Annotated[str, AfterValidator(_brokers)]
KafkaProperties = Annotated[ClientProperties, AfterValidator(_no_own)]
Masters = Annotated[str, AfterValidator(_masters)]
FileName = Annotated[Path, AfterValidator(_file_name)]
TopicName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$"), AfterValidator(_no_folder)]
CoreName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]+$"), AfterValidator(_no_folder)]
OddCount = Annotated[int, AfterValidator(_odd)]
Stores = Annotated[StoreTables, AfterValidator(_stores)]
Sinks = Annotated[tuple[str, ...], AfterValidator(_sinks)]
PublicKeys = Annotated[tuple[str, ...], AfterValidator(_public_keys)]
SolrUrl = Annotated[str, Field(pattern=r"^https?://"), AfterValidator(_solr_url)]
