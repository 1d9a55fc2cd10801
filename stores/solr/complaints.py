"""What Solr says of a question that it does not understand, in words for people: what is wrong where, what to write."""

import re
from difflib import get_close_matches

from flumen.stores.errors import StoreRefused
from flumen.stores.solr.search import Search

_EXAMPLE = (
    "Write, for example, 'label:7 AND confidence:[0 TO 0.5]'; what has blanks or signs in it goes in quotes"
)
_UNKNOWN = re.compile(r"""(?:undefined field:? |sort param field can't be found: )"?(?P<name>[^\s"]+)""")
_UNREADABLE = re.compile(r"Cannot parse '.*'.* at line \d+, column (?P<column>\d+)", re.DOTALL)
_TIME = re.compile(r"Invalid Date (?:Math )?String:'(?P<value>.*)'")
_NUMBER = re.compile(r"Invalid Number: (?P<value>.*) for field (?P<name>\S+)")
_TOO_MANY = re.compile(r"too many (?:nested |boolean )*clauses", re.IGNORECASE)
_AROUND = 20
"""Signs of the query shown before the place that it cannot be read at."""


def check_names(search: Search) -> None:
    """Hold the names of facets to those of the index. Solr counts nothing under one that it does not know.

    Raises:
        StoreRefused: there is no such field.
    """
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
    if found := _UNREADABLE.search(reason):
        at = int(found["column"])
        before = search.query[max(0, at - _AROUND) : at]
        return f"the query cannot be read behind {before!r}, at its sign {at + 1:,}. {_EXAMPLE}"
    if found := _TIME.search(reason):
        return (
            f"{found['value']!r} is no time. Write times as 2026-05-31T12:00:00Z, and a span as "
            "taken_at:[2026-05-01T00:00:00Z TO NOW]"
        )
    if found := _NUMBER.search(reason):
        return f"{found['value']!r} is no number, and the field {found['name']} holds numbers. {_EXAMPLE}"
    return reason


def _no_field(name: str, search: Search) -> str:
    known = sorted(search.fields)
    if not known:
        return f"the index has no field {name!r}"
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    nearest = f"Nearest: {', '.join(near)}. " if near else ""
    return f"the index has no field {name!r}. {nearest}There are: {', '.join(known)}"
