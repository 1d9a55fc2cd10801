"""Who may come in to the console, for how long, and what they may: tokens, sessions, forms."""

import json
import stat
from pathlib import Path

import pytest
from clocks import Clock
from hypothesis import given
from hypothesis import strategies as st

from flumen.console.access import Person, Role, Sessions, TokenFile
from flumen.console.access.gate import Gate, Visitor, check_may_change
from flumen.console.access.people import make_person
from flumen.console.access.sessions import LASTS_S
from flumen.console.access.tokens import fingerprint
from flumen.console.errors import BadPerson, NotAllowed, TokensUnusable

ANNA, BEN = Person("anna", Role.OPERATOR), Person("ben@example.org", Role.VIEWER)


def test_a_token_is_kept_as_its_hash_in_a_file_that_its_owner_alone_reads(tmp_path: Path) -> None:
    path = tmp_path / "console" / "tokens.json"
    token = TokenFile(path).add(ANNA)
    assert token not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert TokenFile(path).person(fingerprint(token)) == ANNA
    assert TokenFile(path).person(fingerprint(token + "x")) is None


def test_a_second_token_takes_the_first_ones_place_and_others_stay(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    first, bens = tokens.add(ANNA), tokens.add(BEN)
    second = tokens.add(Person("anna", Role.VIEWER))
    assert tokens.person(fingerprint(first)) is None
    assert tokens.person(fingerprint(second)) == Person("anna", Role.VIEWER)
    assert tokens.person(fingerprint(bens)) == BEN
    assert [entry.person.name for entry in tokens.entries()] == ["anna", "ben@example.org"]


def test_a_token_that_is_taken_away_ends_its_sessions_at_once(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    gate, token = Gate(TokenFile(path)), TokenFile(path).add(ANNA)
    cookie = gate.sign_in(token)
    session = gate.sessions.read(cookie or "")
    assert session is not None
    assert gate.person(session.sha256) == ANNA
    assert TokenFile(path).remove("anna")
    assert not TokenFile(path).remove("anna")
    assert gate.person(session.sha256) is None
    assert gate.sign_in(token) is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"tokens": []}',
        '{"schema": 2, "tokens": []}',
        '{"schema": "1", "tokens": []}',
        '{"schema": 1, "tokens": [{"name": "a", "role": "king", "sha256": "' + "0" * 64 + '"}]}',
        '{"schema": 1, "tokens": [{"name": "a", "role": "viewer", "sha256": "abc"}]}',
        '{"schema": 1, "tokens": [{"name": "<b>", "role": "viewer", "sha256": "' + "0" * 64 + '"}]}',
    ],
)
def test_a_file_that_holds_something_else_lets_nobody_in_and_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(content)
    with pytest.raises(TokensUnusable, match=str(path)):
        TokenFile(path).person("0" * 64)


def test_what_a_newer_flumen_adds_to_the_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    token = TokenFile(path).add(ANNA)
    read = json.loads(path.read_text())
    read["tokens"][0]["colour"] = "green"
    path.write_text(json.dumps(read | {"more": 1}))
    assert TokenFile(path).person(fingerprint(token)) == ANNA


@pytest.mark.parametrize("name", ["", "a b", "a" * 101, "<script>", "a\nb", "ä"])
def test_a_name_is_one_that_can_stand_anywhere(name: str) -> None:
    with pytest.raises(BadPerson):
        make_person(name, "viewer")


def test_a_session_is_over_after_half_a_day_and_in_another_process() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    cookie = sessions.begin("ab" * 32)
    session = sessions.read(cookie)
    assert session is not None
    assert session.sha256 == "ab" * 32
    assert Sessions(clock).read(cookie) is None
    clock.now += LASTS_S + 1
    assert sessions.read(cookie) is None


def test_a_session_that_was_ended_is_over_wherever_its_cookie_is_kept() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    cookie, other = sessions.begin("ab" * 32), sessions.begin("ab" * 32)
    sessions.end("made up")
    sessions.end(cookie)
    assert sessions.read(cookie) is None
    assert sessions.read(other) is not None


@given(st.text())
def test_no_made_up_cookie_is_a_session(cookie: str) -> None:
    assert Sessions().read(cookie) is None


@given(st.integers(0, 300), st.characters(codec="utf-8"))
def test_a_cookie_with_one_sign_changed_is_no_session(at: int, sign: str) -> None:
    sessions = Sessions()
    cookie = sessions.begin("ab" * 32)
    at %= len(cookie)
    changed = cookie[:at] + sign + cookie[at + 1 :]
    assert changed == cookie or sessions.read(changed) is None


def test_changing_takes_an_operator_and_the_forms_own_token() -> None:
    sessions = Sessions()
    session = sessions.read(sessions.begin("ab" * 32))
    other = sessions.read(sessions.begin("ab" * 32))
    assert session is not None
    assert other is not None
    check_may_change(Visitor(ANNA, session), session.form_token)
    check_may_change(Visitor(ANNA, None), "")  # who sends the token itself was not led here by another page
    for form_token in ("", other.form_token, session.form_token[:-1], "\ud800"):
        with pytest.raises(NotAllowed, match="load the page again"):
            check_may_change(Visitor(ANNA, session), form_token)
    with pytest.raises(NotAllowed, match=r"flumen console token ben@example\.org --role operator"):
        check_may_change(Visitor(BEN, session), session.form_token)
