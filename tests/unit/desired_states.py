"""Control records to test with: versions as numbers, each with a sha256 of its own."""

from flumen.streams.control.records import DesiredState, ModelRef


def ref(version: int) -> ModelRef:
    """A version of the model."""
    return ModelRef(version, f"{version:064x}")


def state(
    revision: int, champion: int, *, challenger: int | None = None, prepare: int | None = None
) -> DesiredState:
    """A state of the model `mnist`, by version numbers."""
    return DesiredState(
        model="mnist",
        champion=ref(champion),
        challenger=ref(challenger) if challenger else None,
        prepare=ref(prepare) if prepare else None,
        revision=revision,
        actor="alice@desk",
        reason="because",
        at="2027-01-15T08:00:00Z",
    )
