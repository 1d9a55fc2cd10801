"""The errors of the stores.

StoreError
├── StoreUnavailable   the server does not answer or asks to wait; retriable
├── StoreClosed        write or read after close, or before connect
├── SchemaMismatch     a table or index that exists has other columns
├── ArtifactError      a jar of a client or a server cannot be downloaded, or is not the one that was pinned
├── FolderUnusable     FLUMEN_HOME or FLUMEN_CACHE cannot be read or written
├── DriverMissing      the chosen driver is not installed
├── NoSuchImage        there is no image of the id that was named
│   └── NoEmbedding    or there is, and it has no embedding
├── UnknownStore       a name in the settings that no package registers
└── StoreRefused       the server refused a whole request for a reason that a retry does not change

Caught within the package, and never seen outside it:

RequestException
└── ForeignAnswer      what came back is not Solr's, but a proxy's or a wrong address's

TimeoutError
└── TooLate            an answer of Solr's was not whole in time
"""

from typing import ClassVar


class StoreError(Exception):
    """Base of all errors of this package. `retriable`: the same call may succeed later, unchanged."""

    retriable: ClassVar[bool] = False


class StoreUnavailable(StoreError):
    """The server does not answer, or asks to wait."""

    retriable: ClassVar[bool] = True


class StoreClosed(StoreError):
    """The store was used after `close`, or before `connect`."""


class SchemaMismatch(StoreError):
    """A table or index exists with other columns. It is never altered silently."""


class ArtifactError(StoreError):
    """An artifact cannot be downloaded, or is not the one that was pinned."""


class FolderUnusable(StoreError):
    """`FLUMEN_HOME` or `FLUMEN_CACHE` cannot be read or written; the message names the folder and the setting."""


class DriverMissing(StoreError):
    """The chosen driver is not installed on this machine."""


class NoSuchImage(StoreError):
    """There is no image of the id that was named."""


class NoEmbedding(NoSuchImage):
    """The image that was named has no embedding."""


class UnknownStore(StoreError):
    """A name in the settings that no installed package registers."""


class StoreRefused(StoreError):
    """The server refused a request, and would refuse it again."""
