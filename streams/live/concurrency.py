"""How many micro-batches a worker has in hand at once, and where each of them is: the one place that says so."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Concurrency:
    """What is taken and not yet acknowledged, counted in micro-batches, if all goes slower than reading.

    `agents` work on one batch each. Two, though there are three steps, to intercept, to classify and to write, that
    each serve one batch after another: while the stores write one, the next is decoded and classified. A third would
    keep all three steps busy where they take as long as each other, and one more batch in memory where they do not.
    `in_channel` are ready for the agents. One, so that none of them waits for the reader's thread; more would only be
    more memory, and more that is delivered again behind a worker that was killed.
    """

    agents: int = 2
    in_channel: int = 1

    @property
    def batches_in_hand(self) -> int:
        """The agents', those in the channel, and the one with which the reader waits for room in it.

        Together they have to fit into `max_in_flight_bytes`, so each may be that large a part of it.
        """
        return self.agents + self.in_channel + 1


LIVE = Concurrency()
"""That of a worker. No setting: it follows from the steps that there are, and bytes are what bounds memory."""
