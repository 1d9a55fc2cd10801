"""What verifying a model may take. Apart from the verifier, whose libraries no command needs to read its settings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VerifyLimits:
    """What verifying one model may take: seconds of processor time, and bytes of memory beyond its file."""

    time_s: float = 120.0
    memory_bytes: int = 2 * 1024**3


DEFAULT_LIMITS = VerifyLimits()
