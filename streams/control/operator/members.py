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

    `own` is the group of the settings here, that of workers that do not name theirs. `workers` are the names of all
    that have said anything.
    """

    answers: Mapping[str, Answer]
    own: str
    workers: frozenset[str]

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

        One that does not name its group may be known by another name: it certainly is none only where every member is
        somebody else.
        """
        answer = self._answer(group)
        if isinstance(answer, Unknown) or self.has(worker):
            return False
        return group is not None or not any(names.isdisjoint(self.workers) for names in answer)

    def describe(self, worker: str, group: str | None) -> str:
        """Say what Kafka says of a worker, in a few words."""
        group_name = f"group {group or self.own!r}"
        answer = self._answer(group)
        if self.has(worker):
            return f"a member of its {group_name}"
        if isinstance(answer, Unknown):
            return f"Kafka does not say whether it is in its {group_name}: {answer.reason}"
        if self.lacks(worker, group):
            return f"no member of its {group_name}"
        return f"it may be in its {group_name}, where Kafka knows some by other names than workers have"

    def _answer(self, group: str | None) -> Answer:
        return self.answers.get(group or self.own, Unknown("it was not asked"))
