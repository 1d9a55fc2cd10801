"""Addresses of servers as people write them: `host:port`, several separated by commas."""

import ipaddress
import re
from collections.abc import Sequence

_ADDRESS = re.compile(r"(?P<host>\[[^\]]+\]|[^\[\]:/\s]+)(?::(?P<port>[0-9]{1,5}))?")
_LARGEST_PORT = 65_535


def split_addresses(text: str, default_port: int) -> Sequence[tuple[str, int]]:
    """Return host and port of each address; an IPv6 address without its brackets.

    Raises:
        ValueError: there is none, or one is no address; the message says which.
    """
    addresses = [part.strip() for part in text.split(",") if part.strip()]
    if not addresses:
        raise ValueError("give at least one host:port")
    return [_split(address, default_port) for address in addresses]


def check_host(host: str) -> None:
    """Refuse a host name that no system looks up.

    Raises:
        ValueError: it is one.
    """
    if ":" in host:
        ipaddress.IPv6Address(host.partition("%")[0])
        return
    try:
        host.encode("idna")
    except UnicodeError as error:
        raise ValueError(f"{host!r} is no host name") from error


def _split(address: str, default_port: int) -> tuple[str, int]:
    parts = _ADDRESS.fullmatch(address)
    port = int(parts["port"] or default_port) if parts else 0
    if parts is None or not 0 < port <= _LARGEST_PORT:
        raise ValueError(f"{address!r} is no address; write it as host:port, an IPv6 one as [::1]:port")
    host = parts["host"].strip("[]")
    try:
        if parts["host"] != host:
            ipaddress.IPv6Address(host.partition("%")[0])
        check_host(host)
    except ValueError as error:
        raise ValueError(f"{address!r} is no address: {error}") from error
    return host, port
