"""A store in memory with the semantics of the real ones: tests use it instead of mocks."""

from flumen.stores.memory.answers import MemoryAnswers
from flumen.stores.memory.reader import MemoryReader
from flumen.stores.memory.sink import MemorySink
from flumen.stores.memory.store import MemoryStore

__all__ = ["MemoryAnswers", "MemoryReader", "MemorySink", "MemoryStore"]
