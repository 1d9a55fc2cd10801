"""The errors of looking back.

ReplayError
├── BadCorrection        an image that cannot be corrected so: not stored, no class of its model, deleted
├── BadQuery             a query that is not read-only, is malformed, or names what is not there
├── ImpactUnreadable     a kept impact that is damaged, or of a later version of flumen
├── NoImages             an index is to be mended by tables that hold no images
├── NoSuchMoment         a moment that is no time, is still to come, or longer ago than Kudu's history
├── NothingToCompare     there are no images in any window
└── ReferenceUnusable    what windows are to be compared with is not known, or of too few images
"""


class ReplayError(Exception):
    """Base of all errors of this package."""


class BadCorrection(ReplayError):
    """A correction that cannot be made; the message names the image and what to do. Nothing was changed."""


class BadQuery(ReplayError):
    """A query that cannot be run; the message names the problem, and the tables and columns there are."""


class ImpactUnreadable(ReplayError):
    """A kept impact cannot be read; the message names the file."""


class NoImages(ReplayError):
    """There are no images in Kudu; the message says what would have been deleted for it. Nothing was."""


class NoSuchMoment(ReplayError):
    """A moment at which the stores cannot be read; the message says which ones there are."""


class NothingToCompare(ReplayError):
    """There are no images in any window."""


class ReferenceUnusable(ReplayError):
    """What windows are to be compared with is not known, or of too few images."""
