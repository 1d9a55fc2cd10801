"""Which proxy is on the way to a server, as the environment says: none for this machine, whatever HTTP_PROXY says."""

import ipaddress
import os
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies, select_proxy

LOGIN = re.compile(r"://[^/\s'\"]*@")
"""User and password in a URL."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy on the way: its URL, which may hold a password, and the name in the environment that has it."""

    url: str = field(repr=False)
    variable: str

    def __str__(self) -> str:
        where = LOGIN.sub("://", self.url)
        return (
            f"it was asked through the proxy {where} of {self.variable}; NO_PROXY names hosts to ask directly"
        )


def find_proxy(url: str) -> Proxy | None:
    """Return the proxy that the environment names for a URL; None for this machine, and for hosts of NO_PROXY."""
    parts = urlsplit(url)
    if is_this_machine(parts.hostname or ""):
        return None
    found = select_proxy(url, get_environ_proxies(url))
    if not found:
        return None
    names = (f"{parts.scheme}_proxy", f"{parts.scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    return Proxy(found, next((name for name in names if os.environ.get(name) == found), "the environment"))


def is_this_machine(host: str) -> bool:
    """Say whether a name or address is this machine's own, by what it says alone."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)
