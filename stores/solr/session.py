"""The one way of asking Solr: which proxy is between, which authority is trusted, and what a failure means.

Nothing else of the environment counts. A Solr on this machine is asked directly, whatever HTTP_PROXY says: a proxy
elsewhere would look for it on its own machine.
"""

import os
import socket
import ssl
from urllib.parse import urlsplit

import requests

from flumen.interceptor.open_files import exhausted
from flumen.stores.errors import StoreError, StoreRefused, StoreUnavailable
from flumen.stores.proxies import LOGIN, find_proxy
from flumen.stores.solr.deadline import DeadlineAdapter, TooLate
from flumen.stores.solr.foreign import check_answer
from flumen.stores.solr.options import SolrOptions

_AUTHORITIES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")


def open_session(options: SolrOptions) -> requests.Session:
    """Return a session for one Solr, with its proxy, user and authorities.

    It takes only answers of Solr's form, and only what is whole in time.
    """
    session = requests.Session()
    session.trust_env = False
    session.hooks["response"].append(check_answer)
    for scheme in ("http://", "https://"):
        session.mount(scheme, DeadlineAdapter(options.timeout_s))
    proxy = find_proxy(options.url)
    if proxy is not None:
        session.proxies = {urlsplit(options.url).scheme: proxy.url}
    if options.username is not None:
        session.auth = (options.username, options.password or "")
    authorities = (os.environ[name] for name in _AUTHORITIES if os.environ.get(name))
    session.verify = str(options.ca_file) if options.ca_file is not None else next(authorities, True)
    return session


def connection_error(options: SolrOptions, reason: str, cause: OSError | None) -> StoreError:
    """Return the error to raise where nothing answered a request.

    `StoreRefused` where TLS fails, which no waiting mends, else `StoreUnavailable`.
    """
    url = options.url.rstrip("/")
    if files := exhausted(reason):
        return StoreUnavailable(f"Solr at {url} cannot be asked: {files}")
    proxy = find_proxy(url)
    tail = f" ({proxy})" if proxy else ""
    where = f"Solr at {url}"
    if isinstance(cause, ssl.SSLError):
        return StoreRefused(_no_tls(where, reason, cause) + tail)
    if isinstance(cause, socket.gaierror) and proxy is None:
        host = urlsplit(url).hostname
        return StoreUnavailable(f"there is no host {host!r} ({cause.strerror}); correct FLUMEN_SOLR_URL")
    if isinstance(cause, TooLate):
        return StoreUnavailable(
            f"{where} does not answer: {reason}. Its log may say why; where it needs longer, raise "
            f"FLUMEN_SOLR_TIMEOUT_S{tail}"
        )
    if "CA certificate bundle" in reason:
        return StoreRefused(f"{reason.rstrip('.')}. Set FLUMEN_SOLR_CA_FILE to the authority's file, in PEM")
    shown = LOGIN.sub("://***@", reason)
    return StoreUnavailable(
        f"{where} does not answer: {shown}. Start it with `flumen up`, or correct FLUMEN_SOLR_URL{tail}"
    )


def _no_tls(where: str, reason: str, cause: ssl.SSLError) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _untrusted(where, cause.verify_message.rstrip("."))
    if cause.reason in _NO_TLS:
        return f"{where} speaks no TLS. Let FLUMEN_SOLR_URL begin with http://"
    return f"{where} and TLS: {reason}. Look at FLUMEN_SOLR_CA_FILE"


def _untrusted(where: str, why: str) -> str:
    if "mismatch" in why:
        return (
            f"the certificate of {where} is for another host: {why}. Correct the host in FLUMEN_SOLR_URL, or let the "
            "server have a certificate for that name"
        )
    if "expired" in why:
        return f"the certificate of {where} has expired; the server needs a new one"
    return (
        f"the certificate of {where} is signed by an authority that is not trusted here: {why}. Set "
        "FLUMEN_SOLR_CA_FILE to the file of the authority that signed it, in PEM"
    )
