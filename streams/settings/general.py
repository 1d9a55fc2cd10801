"""The settings that belong to no room: they are the whole program's."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field


class GeneralSettings(BaseModel):
    """Where things are kept, and what is logged."""

    home: Path = Field(Path(".flumen"), description="Folder of the local stack's data and of the models.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important lines that are logged."
    )
