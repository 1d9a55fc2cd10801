"""What the console needs to show models and to swap them."""

from functools import partial
from typing import TYPE_CHECKING

from flumen.streams.errors import BadKey
from flumen.streams.settings import Settings

if TYPE_CHECKING:
    from flumen.console.models.service import Models
    from flumen.models.repository import Repository

_READERS = 4
"""So many pages read the repository, or the audit log, at once."""

_SCANS_S = 60.0
"""A scan for drift may take as long, where other questions are to be answered sooner; one runs at a time."""


def make_models(settings: Settings) -> "Models":
    """Return what the pages of models need by these settings; nothing is connected yet."""
    from flumen.console.models.carrying_out import carry_out_by
    from flumen.console.models.catalogue import Catalogue
    from flumen.console.models.following import FollowedFleet
    from flumen.console.models.service import Models
    from flumen.console.models.swaps import Swaps
    from flumen.console.models.trail import AuditReader
    from flumen.console.stores import Lent
    from flumen.models.experiments.run_store import RunStore
    from flumen.models.repository import Repository
    from flumen.stores.kudu import KuduReader, KuduRuns
    from flumen.streams.control.operator.audit_log import read_audit_log
    from flumen.streams.control.operator.fleet import Fleet

    patience_s = settings.console_timeout_s
    repository = Repository(settings.model_repository, limits=settings.verify_limits())
    worse = partial(_worse, settings, repository)
    require_impact = partial(_require_impact, settings, repository)
    return Models(
        catalogue=Lent("The model repository", lambda: Catalogue(repository), _READERS, patience_s),
        audit=Lent("Kafka", lambda: AuditReader(partial(read_audit_log, settings)), _READERS, patience_s),
        fleet=FollowedFleet(lambda: Fleet(settings)),
        swaps=Swaps(carry_out_by(settings, repository, worse, require_impact)),
        locked=partial(_locked, settings),
        runs=Lent("Kudu", lambda: RunStore(KuduRuns(settings.kudu_options())), _READERS, patience_s),
        tables=Lent("Kudu", lambda: KuduReader(settings.kudu_options()), 1, max(patience_s, _SCANS_S)),
        worse=worse,
        require_impact=require_impact,
        requires_impact=settings.require_impact,
        model_name=settings.model_name,
    )


def _locked(settings: Settings) -> str:
    """Say why this console can sign nothing that the workers take, and what to do; nothing where it can."""
    from flumen.streams.control.operator.writer import make_signer

    try:
        make_signer(settings)
    except BadKey as error:
        return str(error)
    return ""


def _worse(settings: Settings, repository: "Repository", name: str, version: int) -> str | None:
    from flumen.cli.models.worse_score import standing_manifest, tell_if_worse

    standing = standing_manifest(settings, repository, name)
    return tell_if_worse(repository.manifest(name, version), standing) if standing else None


def _require_impact(settings: Settings, repository: "Repository", name: str, version: int) -> None:
    from flumen.cli.models.required_impact import require_for_swap
    from flumen.cli.models.worse_score import standing_manifest
    from flumen.streams.control.records import ModelRef

    ref = ModelRef(version, repository.manifest(name, version).sha256)
    require_for_swap(settings, repository, name, ref, standing_manifest(settings, repository, name))
