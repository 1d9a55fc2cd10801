"""Talking to a Solr server: one session, JSON by orjson, and every failure translated here, once."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson
import pysolr
import requests

from flumen.stores.errors import StoreError, StoreRefused, StoreUnavailable
from flumen.stores.proxies import find_proxy
from flumen.stores.solr.foreign import ForeignAnswer, accept_any
from flumen.stores.solr.options import SolrOptions
from flumen.stores.solr.session import connection_error, open_session

# pysolr logs each failed request at ERROR with its whole body; here failures are raised or returned instead.
logging.getLogger("pysolr").setLevel(logging.CRITICAL)

_CONNECT_TIMEOUT_S = 5.0
_CORE_NOT_LOADED = re.compile(r"SolrCore '[^']*' is not available due to init failure")
_REASON_HEAD, _REASON_TAIL = 150, 350
_ASKS_TO_WAIT = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_NO_ACCESS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
# pysolr hands over text alone: "Solr responded with an error (HTTP 400): [Reason: ...]".
_SOLR_ERROR = re.compile(r"\(HTTP (?P<status>\d{3})\): \[Reason: (?P<reason>.*)\]", re.DOTALL)
_PLACE = "FLUMEN_SOLR_URL (it ends in /solr) and FLUMEN_SOLR_CORE"
_WRONG_PLACE = f". Check {_PLACE}"
_ADVICE: dict[int, str] = {
    HTTPStatus.NOT_FOUND: (
        ". There is no such index yet: `flumen worker` creates it when it starts, and `flumen audit --rebuild` fills "
        f"one from Kudu. Or check {_PLACE}"
    ),
}


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """What a failed request came back with. `status` is None where nothing answered, `cause` is why, if it is known.

    `is_foreign`: something else than Solr answered.
    """

    status: int | None
    reason: str
    cause: OSError | None = None
    is_foreign: bool = False


class SolrServer:
    """A Solr server, and one index (a core, or a collection of SolrCloud) on it."""

    def __init__(self, options: SolrOptions) -> None:
        self.options = options
        self._session = open_session(options)

    @property
    def url(self) -> str:
        """The server's address, without a slash at its end."""
        return self.options.url.rstrip("/")

    @property
    def index_url(self) -> str:
        """The address of the core or collection."""
        return f"{self.url}/{quote(self.options.core, safe='')}"

    def open_index(self) -> pysolr.Solr:
        """Return pysolr's client of the index. Nothing is asked of the server yet."""
        return pysolr.Solr(
            self.index_url,
            decoder=_OrjsonDecoder(),
            timeout=self._timeout,
            auth=self._session.auth,
            session=self._session,
        )

    def ask(
        self,
        url: str,
        params: Mapping[str, str | int] | None = None,
        body: bytes | None = None,
        content_type: str | None = None,
    ) -> Any:
        """Send a request that pysolr has none for, and return the JSON that came back, or an `ErrorResponse`.

        It is a POST where there is a body.
        """
        method = "GET" if body is None else "POST"
        headers = {"Content-Type": content_type}
        try:
            answer = self._session.request(
                method, url, params=params, data=body, headers=headers, timeout=self._timeout
            )
        except OSError as error:  # what requests raises, and what it lets through
            return read_error(error)
        try:
            content = orjson.loads(answer.content)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            return ErrorResponse(answer.status_code, f"{answer.reason}; the answer is not Solr's")
        if answer.status_code != HTTPStatus.OK:
            return ErrorResponse(answer.status_code, str(content.get("error", {}).get("msg", answer.reason)))
        return content

    def answer(
        self,
        url: str,
        params: Mapping[str, str | int] | None = None,
        body: bytes | None = None,
        content_type: str | None = None,
    ) -> Any:
        """Send a request as `ask` does, and return what it is answered with.

        Raises:
            StoreUnavailable, StoreRefused: as `store_error` says.
        """
        answer = self.ask(url, params, body, content_type)
        if isinstance(answer, ErrorResponse):
            raise self.store_error(answer)
        return answer

    def read_schema(self) -> dict[str, Any] | None:
        """Return the index's schema as Solr's Schema API describes it, or None where there is no such index.

        Raises:
            StoreUnavailable, StoreRefused: as `store_error` says.
        """
        answer = self.ask(f"{self.index_url}/schema")
        if not isinstance(answer, ErrorResponse):
            if not isinstance(answer.get("schema"), dict):
                raise self.store_error(
                    ErrorResponse(HTTPStatus.OK, "OK; the answer holds no schema", is_foreign=True)
                )
            return dict(answer["schema"])
        if answer.status == HTTPStatus.NOT_FOUND and not answer.is_foreign:
            return None
        raise self.store_error(answer)

    def read_file(self, name: str) -> bytes | ErrorResponse:
        """Return a file of the config set that the index runs with."""
        url = f"{self.index_url}/admin/file"
        try:
            hooks = {"response": [accept_any]}
            answer = self._session.get(url, params={"file": name}, timeout=self._timeout, hooks=hooks)
        except requests.RequestException as error:
            return read_error(error)
        if answer.status_code != HTTPStatus.OK:
            return ErrorResponse(answer.status_code, _phrase(answer.status_code))
        return answer.content

    def store_error(self, response: ErrorResponse) -> StoreError:
        """Return the error to raise for a failed request, with what to do about it.

        `StoreUnavailable` where the same request may succeed later, else `StoreRefused`.
        """
        status, reason = response.status, shorten(response.reason)
        if status is None:
            return connection_error(self.options, reason, response.cause)
        where = f"Solr at {self.index_url} answers HTTP {status}: {reason}"
        if proxy := find_proxy(self.url):
            where += f" ({proxy})"
        if _CORE_NOT_LOADED.match(reason):
            return StoreRefused(f"{where}. Solr could not load this core; its log says why")
        if status in _ASKS_TO_WAIT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return StoreUnavailable(where)
        if status in _NO_ACCESS:
            return StoreRefused(f"{where}. {self._access_advice(status)}")
        return StoreRefused(where + (_WRONG_PLACE if response.is_foreign else _ADVICE.get(status, "")))

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what pysolr raises into the errors of the stores."""
        try:
            yield
        except (pysolr.SolrError, OSError) as error:
            raise self.store_error(read_error(error)) from error
        except UnicodeEncodeError as error:
            wrong = error.object[error.start : error.end].encode("utf-8", "backslashreplace").decode()
            raise StoreRefused(f"{wrong} is no character; write what Solr is asked for in UTF-8") from error

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._session.close()

    def _access_advice(self, status: int) -> str:
        if status == HTTPStatus.FORBIDDEN:
            return "Set FLUMEN_SOLR_USERNAME and FLUMEN_SOLR_PASSWORD to a user who may do this"
        wrong = (
            "It wants a user" if self.options.username is None else "The user name or the password is wrong"
        )
        return f"{wrong}: set FLUMEN_SOLR_USERNAME, and FLUMEN_SOLR_PASSWORD or FLUMEN_SOLR_PASSWORD_FILE"

    @property
    def _timeout(self) -> tuple[float, float]:
        """Seconds to connect, and seconds to wait for an answer."""
        return min(_CONNECT_TIMEOUT_S, self.options.timeout_s), self.options.timeout_s


def read_error(error: Exception) -> ErrorResponse:
    """Take status and reason out of the text of pysolr's error, or tell why nothing answered."""
    if isinstance(error, ForeignAnswer):
        return ErrorResponse(error.status, str(error), is_foreign=True)
    found = _SOLR_ERROR.search(str(error))
    if found is None:
        cause = _system_error(error)
        return ErrorResponse(None, str(cause or error), cause)
    status = int(found["status"])
    reason = found["reason"]
    return ErrorResponse(status, _phrase(status) if reason == "None" else reason)


def shorten(reason: str) -> str:
    """Cut a long reason in its middle: a document's id may fill it, and what went wrong stands last."""
    if len(reason) <= _REASON_HEAD + _REASON_TAIL:
        return reason
    return f"{reason[:_REASON_HEAD]} ... {reason[-_REASON_TAIL:]}"


def _system_error(error: BaseException) -> OSError | None:
    """Return what the operating system said, under what requests and pysolr wrapped around it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and not isinstance(cause, requests.RequestException):
            return cause
        cause = cause.__context__
    return None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no reason given"


class _OrjsonDecoder:
    """What pysolr asks of a decoder."""

    def decode(self, text: str) -> Any:
        return orjson.loads(text)
