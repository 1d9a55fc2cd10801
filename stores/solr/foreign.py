"""Answers that are not Solr's: of a wrong address, or of a proxy that answers in Solr's place.

One with HTTP 200 must not pass for Solr's word that images are stored.
"""

from http import HTTPStatus
from typing import Any

import orjson
import requests

_OF_SOLR = ("responseHeader", "response", "doc")
"""What each of Solr's answers has one of; a server may be set to leave out the header."""


class ForeignAnswer(requests.RequestException):
    """What came back is not Solr's. `status` is its HTTP status."""

    def __init__(self, status: int, phrase: str) -> None:
        super().__init__(f"{phrase or 'no reason given'}; the answer is not Solr's")
        self.status = status


def check_answer(response: requests.Response, *_: Any, **__: Any) -> None:
    """Hold an answer to the form of Solr's: a hook for a session of requests. Redirects are followed first.

    Raises:
        ForeignAnswer: it is of another form. An error as a page of HTML may be Solr's, or its web server's.
    """
    if not response.is_redirect and not _is_solrs(response.status_code, response.content):
        raise ForeignAnswer(response.status_code, response.reason)


def accept_any(_response: requests.Response, *_: Any, **__: Any) -> None:
    """Take an answer as it is: the hook for files, which have no form."""


def _is_solrs(status: int, body: bytes) -> bool:
    try:
        content = orjson.loads(body)
    except ValueError:
        return status != HTTPStatus.OK and _is_text(body)
    if not isinstance(content, dict):
        return False
    if status != HTTPStatus.OK:
        return isinstance(content.get("error", {}), dict)
    # The document that is asked for by its id is null where there is none.
    return any(name in content and isinstance(content[name], dict | None) for name in _OF_SOLR)


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
