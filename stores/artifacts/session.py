"""Asking over HTTP: this machine directly, all else through the proxy that the environment names."""

import ipaddress
import os
import re
from urllib.parse import unquote, urlsplit

import requests
from requests.utils import get_environ_proxies, select_proxy

_LOGIN = re.compile(r"://[^\s'\"]*@")


def open_session(url: str) -> requests.Session:
    """Return a session for requests to one server; the user and password in its URL go with each of them."""
    session = requests.Session()
    parts = urlsplit(url)
    if parts.username is not None:
        session.auth = (unquote(parts.username), unquote(parts.password or ""))
    session.trust_env = not _is_this_machine(urlsplit(url).hostname or "")
    return session


def without_login(url: str) -> str:
    """Return a URL as it may be shown: without user and password."""
    return _LOGIN.sub("://", url)


def describe(error: Exception, url: str) -> str:
    """Return an error in words: without passwords, and with the proxy that was asked, if one was."""
    said = _LOGIN.sub("://***@", str(error))
    if _is_this_machine(urlsplit(url).hostname or ""):
        return said
    proxy = select_proxy(url, get_environ_proxies(url))
    if not proxy:
        return said
    scheme = urlsplit(url).scheme
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    name = next((name for name in names if os.environ.get(name) == proxy), "the environment")
    return f"{said} (it was asked through the proxy {without_login(proxy)} of {name})"


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)
