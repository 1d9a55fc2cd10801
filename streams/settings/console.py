"""The settings of the console: where it answers, and who may come in."""

from pathlib import Path

from pydantic import BaseModel, Field


class ConsoleSettings(BaseModel):
    """The web page `flumen console`."""

    console_port: int = Field(
        8400, ge=0, le=65535, description="Port of the web page; 0 is any that is free."
    )
    console_host: str = Field(
        "127.0.0.1", min_length=1, description="Address it answers on; another needs tokens."
    )
    console_hosts: tuple[str, ...] = Field(
        (), description="More names under which browsers ask for it, as a proxy's; * is any."
    )
    console_tokens: Path | None = Field(
        None, description="File of those who may come in; without, whoever started it."
    )
    console_timeout_s: float = Field(15, gt=0, le=600, description="Seconds a page waits for a store.")
