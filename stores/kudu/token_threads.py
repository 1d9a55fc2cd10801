"""Reading the tokens of one scan by several threads at once, each with a connection of its own."""

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Semaphore, Thread

import pyarrow as pa

from flumen.stores.kudu.driver import Driver

_BATCHES_A_THREAD = 2
"""As many batches of rows wait for whoever reads them, beside the one that each thread is about to hand over."""


@dataclass(frozen=True, slots=True)
class TokenRows:
    """Rows that a token of a scan gave, by its number. `rows` is None where it is at its end."""

    token: int
    rows: pa.RecordBatch | None


def read_tokens(
    make_driver: Callable[[], Driver],
    table: str,
    columns: Sequence[str],
    tokens: Mapping[int, bytes],
    threads: int,
) -> Generator[TokenRows, None, None]:
    """Yield what all tokens give, in the order in which it comes.

    Whoever closes the generator waits for the batch that each thread is reading, and no longer.

    Raises:
        StoreError: a thread could not connect, or read.
    """
    team = _Team(make_driver, table, columns, tokens, min(threads, len(tokens)))
    team.start()
    try:
        yield from team.given()
    finally:
        team.stop()


class _Team:
    """The threads, the tokens that none has taken yet, and what was read."""

    def __init__(
        self,
        make_driver: Callable[[], Driver],
        table: str,
        columns: Sequence[str],
        tokens: Mapping[int, bytes],
        count: int,
    ) -> None:
        self._make_driver = make_driver
        self._table = table
        self._columns = columns
        self._waiting: SimpleQueue[tuple[int, bytes]] = SimpleQueue()
        for each in tokens.items():
            self._waiting.put(each)
        self._handed_over: SimpleQueue[TokenRows | Exception | None] = SimpleQueue()
        self._room, self._stopped = Semaphore(_BATCHES_A_THREAD * count), Event()
        self._threads = [
            Thread(target=self._run, name=f"flumen-scan-{number}", daemon=True) for number in range(count)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def given(self) -> Iterator[TokenRows]:
        ended = 0
        while ended < len(self._threads):
            given = self._handed_over.get()
            if given is None:
                ended += 1
            elif isinstance(given, Exception):
                raise given
            else:
                self._room.release()
                yield given

    def stop(self) -> None:
        self._stopped.set()
        for _ in self._threads:
            self._room.release()  # one that waits for room sees then that it is to stop
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        try:
            driver = self._make_driver()
            try:
                self._read(driver)
            finally:
                driver.close()
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            self._handed_over.put(error)
        finally:
            self._handed_over.put(None)

    def _read(self, driver: Driver) -> None:
        while not self._stopped.is_set():
            try:
                number, token = self._waiting.get_nowait()
            except Empty:
                return
            batches = driver.read_token(self._table, self._columns, token)
            with contextlib.closing(batches):
                for batch in batches:
                    self._hand_over(TokenRows(number, batch))
                    if self._stopped.is_set():
                        return
            self._hand_over(TokenRows(number, None))

    def _hand_over(self, rows: TokenRows) -> None:
        self._room.acquire()
        self._handed_over.put(rows)
