"""Where settings come from, and which of them are secrets in files.

Order of precedence: arguments, environment names `FLUMEN_*`, `flumen.toml` in the current folder, the addresses of the
stack that `flumen up` started from this folder, the defaults.
"""

from pathlib import Path
from typing import Any

from pydantic import ValidationInfo, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from flumen.streams.secrets import FILE_SUFFIX, is_content, read_secret, revealed
from flumen.streams.settings.environment import Environment
from flumen.streams.settings.local_stack import LocalStack
from flumen.streams.settings.wrong import PREFIX


class SourcedSettings(BaseSettings):
    """Reads its fields from those sources. A setting whose name ends in `_file` is the name of a file.

    A secret may have such a twin: the file that holds it.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        toml_file="flumen.toml",
        extra="forbid",
        frozen=True,
        env_ignore_empty=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - a signature of pydantic's
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Name the sources, strongest first."""
        toml = TomlConfigSettingsSource(settings_cls)
        return init_settings, Environment(settings_cls), toml, LocalStack(settings_cls)

    def secret(self, name: str) -> str | None:
        """Return a secret setting's value, in clear: its own, or what is in its file.

        Raises:
            BadSetting: the file cannot be read.
        """
        file: Path | None = getattr(self, name + FILE_SUFFIX)
        if file is not None:
            return read_secret(file, name + FILE_SUFFIX)
        value: str | None = revealed(getattr(self, name))
        return value

    def options_of(self, group: str) -> dict[str, Any]:
        """Return the settings whose names begin with that of a group, `solr_url` as `url`; secrets in clear.

        Raises:
            BadSetting: a file that holds a secret cannot be read.
        """
        names = [name for name in type(self).model_fields if name.startswith(f"{group}_")]
        secrets = [name for name in names if name + FILE_SUFFIX in names]
        files = [name + FILE_SUFFIX for name in secrets]
        return {
            name.removeprefix(f"{group}_"): self.secret(name) if name in secrets else getattr(self, name)
            for name in names
            if name not in files
        }

    @field_validator("*")
    @classmethod
    def _names_files(cls, value: Any, info: ValidationInfo) -> Any:
        if str(info.field_name).endswith(FILE_SUFFIX) and is_content(value):
            raise ValueError("it is the name of a file that is asked for, and not what is in it")
        return value

    @model_validator(mode="after")
    def _can_read_secrets(self) -> "SourcedSettings":
        fields = type(self).model_fields
        for name in (name for name in fields if name + FILE_SUFFIX in fields):
            if getattr(self, name) is not None and getattr(self, name + FILE_SUFFIX) is not None:
                raise ValueError(f"{name} and {name}{FILE_SUFFIX} are both set; leave one of them out")
            self.secret(name)
        return self
