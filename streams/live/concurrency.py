"""How many micro-batches a worker has in hand at once, and where each of them is: the one place that says so."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Concurrency:
    """What is taken and not yet acknowledged, counted in micro-batches, if all goes slower than reading.

    `agents` work on one batch each. Three, though there are more steps, to intercept, to classify and to write into
    each store, that each serve one batch after another: while one store takes one, the other takes the next, and a
    third is decoded or classified. A fourth brought nothing, and is one more batch in memory.
    `in_channel` are ready for the agents. One, so that none of them waits for the reader's thread; more would only be
    more memory, and more that is delivered again behind a worker that was killed.
    """

    agents: int = 3
    in_channel: int = 1

    @property
    def batches_in_hand(self) -> int:
        """The agents', those in the channel, and the one with which the reader waits for room in it.

        Together they have to fit into `max_in_flight_bytes`, so each may be that large a part of it.
        """
        return self.agents + self.in_channel + 1


LIVE = Concurrency()
"""That of a worker. No setting: it follows from the steps that there are, and bytes are what bounds memory."""
