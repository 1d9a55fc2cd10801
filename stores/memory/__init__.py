"""A store in memory with the semantics of the real ones: tests use it instead of mocks.

It is registered nowhere, so that no worker writes what must last to where it does not.
"""

from flumen.stores.memory.answers import MemoryAnswers
from flumen.stores.memory.corrections import MemoryCorrections
from flumen.stores.memory.hashes import MemoryHashes
from flumen.stores.memory.labels import MemoryLabels
from flumen.stores.memory.models import MemoryModelIndex
from flumen.stores.memory.neighbours import MemoryNeighbours
from flumen.stores.memory.reader import MemoryReader
from flumen.stores.memory.sink import MemorySink
from flumen.stores.memory.store import MemoryStore
from flumen.stores.store import Store

__all__ = [
    "STORE",
    "MemoryAnswers",
    "MemoryCorrections",
    "MemoryHashes",
    "MemoryLabels",
    "MemoryModelIndex",
    "MemoryNeighbours",
    "MemoryReader",
    "MemorySink",
    "MemoryStore",
]

STORE = Store(
    name="memory",
    options=MemoryStore,
    make_sink=MemorySink,
    make_reader=MemoryReader,
    make_answers=MemoryAnswers,
    make_corrections=MemoryCorrections,
    make_labels=MemoryLabels,
)
