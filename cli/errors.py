"""The errors of the command line itself; those of the other packages pass through it.

CommandError
├── OutputLost    standard output cannot be written
└── Unexpected    what nobody foresaw
"""


class CommandError(Exception):
    """Base of all errors of this package."""


class OutputLost(CommandError):
    """Standard output cannot be written: a full disk, mostly."""


class Unexpected(CommandError):
    """What nobody foresaw; the message asks for a report."""
