"""Where the stack on this machine is, as a source of settings."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource


class LocalStack(PydanticBaseSettingsSource):
    """The addresses of the stack on this machine, as `flumen up` recorded them: the weakest source."""

    _NAMES: Mapping[str, str] = {
        "kafka": "kafka_servers",
        "kudu_masters": "kudu_masters",
        "solr_url": "solr_url",
    }

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: all values come from one file."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        """Return what is recorded; nothing, where no stack was started."""
        home = Path(self.current_state.get("home", ".flumen"))
        try:
            recorded = json.loads((home / "stack" / "endpoints.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise ValueError(
                f"{home / 'stack'} cannot be read: {error.strerror}. Set FLUMEN_HOME to a folder that you may read"
            ) from error
        return {name: recorded[key] for key, name in self._NAMES.items() if key in recorded}
