"""The console's API and its door, over real stores: who may do what, and what is said of what cannot be done."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from console_served import EVIL, served
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as given_so
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from flumen.console import server
from flumen.console.access import Person, Role, TokenFile
from flumen.console.access.gate import Gate
from flumen.streams.settings import Settings

FUZZED_S = 8.0
ELSEWHERE = {("get", "/now/events"), ("post", "/model/swap")}
"""A stream has no end, and a swap goes on behind its answer: other tests have both."""


@dataclass(frozen=True)
class Door:
    """A console, and those who have tokens for it."""

    base: str
    tokens: TokenFile
    made: dict[str, str]

    def ask(self, path: str, who: str = "", method: str = "GET", **more: Any) -> requests.Response:
        """Ask for something with somebody's token, or with a text in place of one."""
        headers = {"Authorization": f"Bearer {self.made.get(who, who)}"} if who else {}
        headers |= more.pop("headers", {})
        return requests.request(
            method, self.base + path, headers=headers, timeout=60, allow_redirects=False, **more
        )


@pytest.fixture(scope="module")
def door(console_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    tokens = TokenFile(tmp_path_factory.mktemp("door") / "tokens.json")
    made = {role.value: tokens.add(Person(role.value, role)) for role in Role}
    with served(console_settings, Gate(tokens)) as base:
        yield Door(base, tokens, made)


CHANGING = {"method": "POST", "json": {"id": "digit-05", "label": "3", "reason": ""}}


def test_nobody_comes_in_unknown_or_under_another_name_or_from_another_site(door: Door) -> None:
    assert door.ask("/api/v1/images").status_code == 401
    assert door.ask("/api/v1/images", "flumen_forged").status_code == 401
    assert door.ask("/images?q=1").headers["location"] == "/sign-in?back=%2Fimages%3Fq%3D1"
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    for answer, status in [
        (door.ask("/api/v1/images", "viewer", headers={"Host": "evil.example"}), 400),
        (door.ask("/api/v1/image/label", "operator", headers=elsewhere, **CHANGING), 403),
        (door.ask("/api/v1/nothing", "viewer"), 404),
        (door.ask("/api/v1/images", "viewer", "DELETE"), 405),
    ]:
        assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    # A link on another site signs nobody in: they would work under the name of whoever made the link.
    token = door.made["operator"]
    linked = door.ask(f"/sign-in?token={token}", headers=elsewhere)
    assert (linked.status_code, "set-cookie" in linked.headers) == (403, False)
    assert token not in linked.text
    typed = door.ask(f"/sign-in?token={token}&back=//evil.example", headers={"Sec-Fetch-Site": "none"})
    assert (typed.status_code, typed.headers["location"]) == (303, "/images")
    assert {"HttpOnly", "SameSite=lax"} <= set(typed.headers["set-cookie"].split("; "))


def test_a_session_changes_nothing_without_the_token_of_its_forms(door: Door) -> None:
    signed = door.ask(f"/sign-in?token={door.made['operator']}")
    cookie = {"Cookie": signed.headers["set-cookie"].partition(";")[0]}
    for more in ({}, {"X-Form-Token": "0" * 64}):
        refused = door.ask("/api/v1/image/label", headers=cookie | more, **CHANGING)
        assert refused.status_code == 403
        assert "load the page again" in refused.json()["error"]


def test_a_viewer_looks_an_operator_changes_and_what_is_wrong_is_said(door: Door) -> None:
    assert door.ask("/api/v1/images?f=source:cameras", "viewer").json()["total"] == 4
    refused = door.ask("/api/v1/image/label", "viewer", **CHANGING)
    assert (refused.status_code, "may look and change nothing" in refused.json()["error"]) == (403, True)
    assert door.ask("/image/delete?id=digit-05", "viewer").status_code == 403
    assert door.ask("/api/v1/image/label", "operator", **CHANGING).json() == {"id": "digit-05", "label": "3"}
    whole = door.ask("/api/v1/image", "viewer", params={"id": "digit-05"}).json()
    assert (whole["columns"]["knownlabel"], whole["corrections"][0]["by"]) == (3, "operator")
    for sent, status in [
        ({"json": {"id": "none", "label": "3"}}, 404),
        ({"json": {"id": "digit-05", "label": "cat"}}, 400),
        ({"json": {"id": "digit-05", "label": 3}}, 400),
        ({"json": {"id": "\ud800", "label": "3"}}, 400),
        ({"json": ["id"]}, 400),
        ({"data": b"{" * 70_000, "headers": {"Content-Type": "application/json"}}, 400),
        ({"data": {"id": "digit-05"}}, 415),
    ]:
        answer = door.ask("/api/v1/image/label", "operator", "POST", **sent)
        assert (answer.status_code, set(answer.json())) == (status, {"error"}), sent
    emptied = door.ask("/api/v1/image/delete", "operator", "POST", json={"id": "digit-05", "reason": " "})
    assert emptied.status_code == 400


@pytest.mark.parametrize(
    "image_id", ["/", "../../etc/passwd", "\u202e", "\x00", "i" * 10_000, "%ff", "é" * 9_000]
)
def test_an_id_that_nobody_has_is_not_found_whatever_it_is(door: Door, image_id: str) -> None:
    for path in ("/image", "/image/original", "/image/view", "/api/v1/image"):
        answer = door.ask(path, "viewer", params={"id": image_id})
        assert answer.status_code == 404, path
    assert "\u202e" not in answer.text


def test_bytes_from_outside_are_sent_so_that_nothing_in_them_runs(door: Door) -> None:
    for image_id, kind, kept in [
        (EVIL, "image/png", "inline"),
        ("tiff", "application/octet-stream", "attachment"),
    ]:
        picture = door.ask("/image/original", "viewer", params={"id": image_id})
        assert picture.headers["content-type"] == kind
        assert picture.headers["content-disposition"].startswith(kept)
        assert picture.headers["content-security-policy"].endswith("sandbox")
        assert picture.headers["x-content-type-options"] == "nosniff"
    for path in ("/images", "/static/console.js", "/none", "/api/v1/images", "/image/original?id=none"):
        headers = door.ask(path, "viewer").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]


def test_exports_hold_what_was_found_and_no_formula(door: Door) -> None:
    assert set(door.ask("/images/export?format=ids", "viewer").text.split("\n")) >= {"digit-05", "gif"}
    asked = "/images/export?format={}&q=-source:scans AND -source:cameras"
    lines = door.ask(asked.format("jsonl"), "viewer").text.splitlines()
    assert {json.loads(line)["id"] for line in lines} == {EVIL, "gif"}
    assert ",'=1+1," in door.ask(asked.format("csv"), "viewer").text


@pytest.mark.parametrize(
    "query",
    [
        "{!join from=id to=id fromIndex=others}*:*",
        '_query_:"{!join from=id to=id from\\\\u0049ndex=others}*:*"',
        "{!join from=id to=id fromIndex=${x:others}}*:*",
    ],
)
def test_a_query_asks_no_other_index(door: Door, query: str) -> None:
    answer = door.ask("/api/v1/images", "viewer", params={"q": query})
    assert (answer.status_code, "and no other one" in answer.json()["error"]) == (400, True)


def test_mistakes_come_first_and_what_nobody_knows_last(door: Door) -> None:
    found = [
        door.ask(f"/api/v1/images?sort=mistakes&start={at}", "viewer").json()["images"] for at in (0, 48)
    ]
    correct = [image["correct"] for images in found for image in images]
    assert set(correct) == {False, True, None}
    assert correct == sorted(correct, key=[False, True, None].index)
    assert door.ask("/api/v1/images?sort=disagreements", "viewer").status_code == 200


def test_a_value_is_looked_for_as_it_is(door: Door) -> None:
    """Solr would take ${q} for what the query is."""
    found = door.ask("/api/v1/images", "viewer", params={"f": "source:${x:scans}"})
    assert found.json()["total"] == 0


def test_requests_that_do_not_come_to_an_end_are_not_waited_for(
    door: Door, monkeypatch: pytest.MonkeyPatch, wait_until: Callable[..., Any]
) -> None:
    monkeypatch.setattr(server, "HEAD_WITHIN_S", 0.2)
    host, port = door.base.removeprefix("http://").split(":")
    for begun in (b"", b"GET /images HTTP/1.1\r\nHost: localhost\r\nX-Slow: "):
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(begun)
            assert connection.recv(1000) == b""


def test_the_api_is_as_its_document_says(door: Door) -> None:
    """What the document allows, and what it does not, is answered as it says."""
    document = requests.get(f"{door.base}/api/v1/openapi.json", timeout=60).json()
    del document["security"]  # everybody here is an operator: that others are refused, another test says
    operations = [each.ok() for each in schemathesis.openapi.from_dict(document).get_all_operations()]
    tried = []
    for operation in operations:
        path = operation.path.removeprefix("/api/v1")
        if (operation.method, path) in ELSEWHERE:
            continue
        described = document["paths"][operation.path][operation.method]
        tried.append((operation, schemathesis.GenerationMode.POSITIVE))
        if described.get("parameters") or "requestBody" in described:  # else nothing of it can be wrong
            tried.append((operation, schemathesis.GenerationMode.NEGATIVE))
    assert len(tried) > len(operations)
    for operation, mode in tried:
        assert fuzzed(door, operation, mode, FUZZED_S / len(tried)) > 0


def fuzzed(door: Door, operation: Any, mode: schemathesis.GenerationMode, seconds: float) -> int:
    """Ask for so long; return how often it was asked."""
    headers = {"Authorization": f"Bearer {door.made['operator']}"}
    # What is taken for a query or a reference no schema can say, and parameters that are not known are left alone.
    changes = operation.path.endswith(("/label", "/delete"))
    excluded = [] if changes else [positive_data_acceptance, negative_data_rejection]
    until = time.monotonic() + seconds
    asked = 0

    @given(case=operation.as_strategy(generation_mode=mode))
    @given_so(
        max_examples=2 if operation.path.endswith("/delete") else 5,  # what is deleted is so for good
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    def is_as_said(case: Any) -> None:
        nonlocal asked
        if asked and time.monotonic() > until:
            return
        asked += 1
        case.call_and_validate(base_url=door.base, headers=headers, excluded_checks=excluded, timeout=60)

    is_as_said()
    return asked


def test_whose_token_is_taken_away_is_out(door: Door) -> None:
    assert door.ask("/api/v1/images", "viewer").status_code == 200
    assert door.tokens.remove("viewer")
    assert door.ask("/api/v1/images", "viewer").status_code == 401
