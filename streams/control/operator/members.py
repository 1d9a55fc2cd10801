"""Who takes images, by the word of Kafka's group coordinators; what workers say of themselves anybody may write.

A worker that is no member of its group has no partition: it takes no image, and follows the desired state as one that
starts later does. So a change need not wait for it, whether it is starting, frozen, dead, or nobody's.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from flumen.streams.kafka.group_members import Answer, Unknown


@dataclass(frozen=True, slots=True)
class Members:
    """What the coordinators of the workers' groups answered.

    `own` is the group of the settings here, most likely that of workers that do not name theirs.
    """

    answers: Mapping[str, Answer]
    own: str

    def has(self, worker: str) -> bool:
        """Say whether Kafka knows a worker as a member."""
        return any(
            worker in names
            for answer in self.answers.values()
            if not isinstance(answer, Unknown)
            for names in answer
        )

    def lacks(self, worker: str, group: str | None) -> bool:
        """Say whether a worker certainly is no member.

        Of one that does not name its group nobody knows: it may be in any, and known there by another name.
        """
        return group is not None and not isinstance(self._answer(group), Unknown) and not self.has(worker)

    def describe(self, worker: str, group: str | None) -> str:
        """Say what Kafka says of a worker, in a few words."""
        if self.has(worker):
            return f"a member of its group {group or self.own!r}"
        if group is None:
            return "it does not say by which name Kafka knows it, so it may be a member of its group"
        answer = self._answer(group)
        if isinstance(answer, Unknown):
            return f"Kafka does not say whether it is in its group {group!r}: {answer.reason}"
        return f"no member of its group {group!r}"

    def _answer(self, group: str) -> Answer:
        return self.answers.get(group, Unknown("it was not asked"))
