"""The errors of looking back.

ReplayError
└── BadQuery    a query that is not read-only, is malformed, or names what is not there
"""


class ReplayError(Exception):
    """Base of all errors of this package."""


class BadQuery(ReplayError):
    """A query that cannot be run; the message names the problem, and the tables and columns there are."""
