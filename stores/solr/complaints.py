"""What Solr says of a question that it does not understand, in words for people: what is wrong where, what to write."""

import re
from difflib import get_close_matches

from flumen.stores.errors import StoreRefused
from flumen.stores.solr.search import EVERYTHING, Search, to_index

_EXAMPLE = (
    "Write, for example, 'label:7 AND confidence:[0 TO 0.5]'; what has blanks or signs in it goes in quotes"
)
_UNKNOWN = re.compile(r"""(?:undefined field:? |sort param field can't be found: )"?(?P<name>[^\s"]+)""")
_UNREADABLE = re.compile(r"Cannot parse '.*'.* at line (?P<line>\d+), column (?P<column>\d+)", re.DOTALL)
_TIME = re.compile(r"Invalid Date (?:Math )?String:'(?P<value>.*)'")
_NUMBER = re.compile(r"Invalid Number: (?P<value>.*) for field (?P<name>\S+)")
_TOO_MANY = re.compile(r"too many (?:nested |boolean )*clauses", re.IGNORECASE)
_NO_ORDER = re.compile(r"Can't determine a Sort Order.*in sort spec")
# What Solr's own words begin with and end in: an address, a class of Java's, all parameters of the request.
_REFUSED = " answers HTTP 400: "
_DUMP = re.compile(rf"^[^\n]*?{_REFUSED}|org\.apache\.solr\.\S+: | in \{{q=.*$", re.DOTALL)
_AROUND = 20
"""Signs of the query shown before the place that it cannot be read at."""


def check_names(search: Search) -> None:
    """Hold the names of facets to those of the index, as Solr counts nothing under one that it does not know.

    Raises:
        StoreRefused: there is no such field, or there is no query.
    """
    if not search.query.strip():
        raise StoreRefused(f"the query is empty; {EVERYTHING!r} finds every image. {_EXAMPLE}")
    for name in search.facets:
        if search.fields and name not in search.fields:
            raise StoreRefused(_no_field(name, search))


def reworded(reason: str, search: Search) -> str:
    """Return what is wrong with a question in words for people; Solr's own, where it is nothing known."""
    if found := _UNKNOWN.search(reason):
        return _no_field(found["name"], search)
    if _TOO_MANY.search(reason):
        return (
            "the query has more terms than Solr takes, 1,024; ask for many values of one field with "
            "'{!terms f=label}cat,dog,...', or ask in parts"
        )
    return _unreadable(reason, search) or _wrong_value(reason, search) or _plain(reason)


def _unreadable(reason: str, search: Search) -> str | None:
    found = _UNREADABLE.search(reason)
    if found is None:
        return None
    # Solr counts in the query as it was sent: there, columns are called as the index calls them.
    sent = to_index(search.query, search.fields)
    lines = sent.splitlines(keepends=True)[: int(found["line"]) - 1]
    at = min(sum(map(len, lines)) + int(found["column"]), len(sent))
    before = sent[max(0, at - _AROUND) : at]
    return f"the query cannot be read behind {before!r}, at its sign {at + 1:,}. {_EXAMPLE}"


def _wrong_value(reason: str, search: Search) -> str | None:
    if _NO_ORDER.search(reason):
        return f"{search.sort!r} is no order to sort by. Write, for example, --sort 'confidence desc', or asc"
    if found := _TIME.search(reason):
        return (
            f"{found['value']!r} is no time. Write times as 2026-05-31T12:00:00Z, and a span as "
            "taken_at:[2026-05-01T00:00:00Z TO NOW]"
        )
    if found := _NUMBER.search(reason):
        return f"{found['value']!r} is no number, and the field {found['name']} holds numbers. {_EXAMPLE}"
    return None


def _plain(reason: str) -> str:
    if _REFUSED not in reason:
        return reason
    return f"Solr does not take the query: {_DUMP.sub('', reason)}. {_EXAMPLE}"


def _no_field(name: str, search: Search) -> str:
    known = sorted(search.fields)
    if not known:
        return f"the index has no field {name!r}"
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    nearest = f"Nearest: {', '.join(near)}. " if near else ""
    return f"the index has no field {name!r}. {nearest}There are: {', '.join(known)}"
