"""The model that classifies now."""

from dataclasses import dataclass

from flumen.interceptor.classifier import Classifier

NO_REVISION = 0
"""The control revision of a model that no control record has asked for."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A verified model, the sha256 of its file, and the revision of the control record that it answers for.

    `since`: the revision with which it became the champion; those between change other things.
    """

    classifier: Classifier
    sha256: str
    revision: int = NO_REVISION
    since: int = NO_REVISION


class CurrentSlot:
    """Holds what serves now. A batch reads `current` once and keeps what it got to its end."""

    def __init__(self, serving: Serving) -> None:
        self._current = serving

    @property
    def current(self) -> Serving:
        """What serves the next batch."""
        return self._current

    def publish(self, serving: Serving) -> None:
        """Let this serve every batch that starts from now on; batches in hand keep theirs."""
        # One assignment of one reference: CPython does it under the interpreter's lock, so a reader in any
        # thread sees the old model with its revision or the new one with its own. The old one goes when its
        # last batch lets go of it.
        self._current = serving
