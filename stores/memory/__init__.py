"""A store in memory with the semantics of the real ones: tests use it instead of mocks."""

from stores.memory.answers import MemoryAnswers
from stores.memory.reader import MemoryReader
from stores.memory.sink import MemorySink
from stores.memory.store import MemoryStore

__all__ = ["MemoryAnswers", "MemoryReader", "MemorySink", "MemoryStore"]
