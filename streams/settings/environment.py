"""The environment as a source of settings: every name that begins with FLUMEN_ is a setting, or one of a few others."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from flumen.streams.errors import BadSetting
from flumen.streams.settings.wrong import FORMER_NAMES, PREFIX, meant

OTHER_NAMES: Mapping[str, str] = {
    "FLUMEN_CACHE": "folder of what can be downloaded again",
    "FLUMEN_MAVEN_REPOSITORY": "address of the repository of artifacts",
    "FLUMEN_KAFKA_PORT": "port that docker-compose.yml publishes",
    "FLUMEN_KUDU_PORT": "port that docker-compose.yml publishes",
    "FLUMEN_KUDU_TABLETS_PORT": "port that docker-compose.yml publishes",
    "FLUMEN_SOLR_PORT": "port that docker-compose.yml publishes",
    "FLUMEN_SOLR_CONFIGSET": "folder that docker-compose.yml mounts",
    "FLUMEN_TEST_STACK": "servers of the tests",
    "FLUMEN_TEST_STACK_HOME": "servers of the tests",
    "FLUMEN_FAULTS": "which faults are tried",
    "FLUMEN_FAULTS_SEED": "the random moments of a run of faults",
    "FLUMEN_SEED": "the random records of a hostile sender",
}
"""The names that are no settings: they are read where no settings are, or by others."""

# What Kubernetes puts into every container where a service's name begins with `flumen`.
_SERVICE_LINK = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$")
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


class Environment(EnvSettingsSource):
    """The names FLUMEN_* of the environment. A list or table that is no JSON is handed on as it is, to be refused."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Return what the JSON says, or the value itself."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except (ValueError, RecursionError):  # brackets in brackets without end
            return value


def check_names(environ: Mapping[str, str], settings: Iterable[str]) -> None:
    """Refuse names of the environment that begin with FLUMEN_ and mean nothing: most are misspelt.

    Raises:
        BadSetting: there are some; the message has the nearest name for each.
    """
    known = {*OTHER_NAMES, *(f"{PREFIX}{name.upper()}" for name in settings)}
    unknown = sorted(
        name
        for name, value in environ.items()
        if name.upper().startswith(PREFIX) and name.upper() not in known and not _is_of_service(name, value)
    )
    if unknown:
        raise BadSetting(
            "\n".join(
                f"there is no setting {name}{_meant(name, known)}; correct it in the environment, or unset it. "
                f"Settings are: {', '.join(sorted(settings))}"
                for name in unknown
            )
        )


def _meant(name: str, known: Iterable[str]) -> str:
    # Without what all begin with: it would make each of them like the other.
    own = name.upper().removeprefix(PREFIX)
    if former := FORMER_NAMES.get(own.lower()):
        return f" (it is {PREFIX}{former.upper()} now)"
    return meant(own, [one.removeprefix(PREFIX) for one in known]).replace("mean ", f"mean {PREFIX}")


def _is_of_service(name: str, value: str) -> bool:
    return bool(_SERVICE_LINK.search(name) or (name.endswith("_PORT") and _SERVICE_ADDRESS.match(value)))
