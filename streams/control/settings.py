"""The settings of control: how a fleet of workers changes its model, and who may let it."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from flumen.streams.control.keys import Keyring
from flumen.streams.errors import BadKey


def _check_keys(keys: tuple[str, ...]) -> tuple[str, ...]:
    try:
        Keyring(keys)
    except BadKey as error:
        raise ValueError(str(error)) from error
    return keys


PublicKeys = Annotated[tuple[str, ...], AfterValidator(_check_keys)]


class ControlSettings(BaseModel):
    """How another model is tried and prepared, whose orders count, and how often a worker tells its state."""

    shadow_sample: float = Field(
        0.1, ge=0, le=1, description="Share of the images that a challenger is asked about in shadow."
    )
    prepare_share: float = Field(
        0.05, gt=0, le=1, description="Share of one core that a worker spends on loading another model."
    )
    control_public_keys: PublicKeys = Field(
        (), description="Ed25519 keys in base64 that may sign control records; without any, all are taken."
    )
    control_private_key_file: Path | None = Field(
        None, description="Where the key lies that signs control records: for operators, not for workers."
    )
    heartbeat_s: float = Field(2, ge=0.1, le=60, description="Seconds between two statuses of a worker.")
