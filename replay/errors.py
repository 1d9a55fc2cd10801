"""The errors of looking back.

ReplayError
├── BadCorrection    an image that cannot be corrected so: not stored, no class of its model, deleted
└── BadQuery         a query that is not read-only, is malformed, or names what is not there
"""


class ReplayError(Exception):
    """Base of all errors of this package."""


class BadQuery(ReplayError):
    """A query that cannot be run; the message names the problem, and the tables and columns there are."""


class BadCorrection(ReplayError):
    """A correction that cannot be made; the message names the image and what to do. Nothing was changed."""
