"""Which model is meant, and what somebody wants of it, as it stands in an address, a form or JSON."""

from collections.abc import Mapping

from flumen.console.errors import BadQuestion
from flumen.console.models.swaps import Action, Asked
from flumen.models.names import as_version, check_name

LONGEST_REASON = 1000


def read_action(given: Mapping[str, str]) -> Action:
    """Read what is to be done.

    Raises:
        BadQuestion: there is no such thing to be done.
    """
    text = given.get("do", "")
    try:
        return Action(text)
    except ValueError:
        raise BadQuestion(
            f"there is nothing to do called {text[:80]!r}; there are: {', '.join(Action)}"
        ) from None


def read_version(given: Mapping[str, str], action: Action) -> int | None:
    """Read which version is meant; of an action that takes none, None.

    Raises:
        BadQuestion: there cannot be such a version.
    """
    if action in (Action.ROLLBACK, Action.SHADOW_OFF):
        return None
    text = given.get("version", "")
    version = as_version(text)
    if version is None:
        raise BadQuestion(f"say which version: a whole number above 0, and not {text[:80]!r}")
    return version


def read_asked(given: Mapping[str, str], by: str) -> Asked:
    """Read what somebody wants, and why.

    Raises:
        BadQuestion: it is not understood, or no reason is given, or too long a one.
        BadModelName: no model can be called so.
    """
    action = read_action(given)
    reason = given.get("reason", "").strip()
    if not reason:
        raise BadQuestion("say why: the reason stands in the audit trail, beside your name")
    if len(reason) > LONGEST_REASON:
        raise BadQuestion(f"a reason has {LONGEST_REASON:,} characters at the most, and not {len(reason):,}")
    try:
        reason.encode()
    except UnicodeEncodeError:
        raise BadQuestion("this reason has half a character in it, which no topic takes") from None
    return Asked(
        action=action,
        model=check_name(given.get("model", "")),
        version=read_version(given, action),
        by=by,
        reason=reason,
        though_worse=given.get("though_worse") == "yes",
        needs_impact=given.get("needs_impact") == "yes",
        force=given.get("force") == "yes",
    )
