"""Asking over HTTP: this machine directly, all else through the proxy that the environment names."""

import re
from urllib.parse import unquote, urlsplit

import requests

from flumen.stores.proxies import find_proxy, is_this_machine

_LOGIN = re.compile(r"://[^\s'\"]*@")


def open_session(url: str) -> requests.Session:
    """Return a session for requests to one server; the user and password in its URL go with each of them."""
    session = requests.Session()
    parts = urlsplit(url)
    if parts.username is not None:
        session.auth = (unquote(parts.username), unquote(parts.password or ""))
    session.trust_env = not is_this_machine(parts.hostname or "")
    return session


def without_login(url: str) -> str:
    """Return a URL as it may be shown: without user and password."""
    return _LOGIN.sub("://", url)


def describe(error: Exception, url: str) -> str:
    """Return an error in words: without passwords, and with the proxy that was asked, if one was."""
    said = _LOGIN.sub("://***@", str(error))
    proxy = find_proxy(url)
    if proxy is None:
        return said
    return f"{said} (it was asked through the proxy {without_login(proxy.url)} of {proxy.variable})"
