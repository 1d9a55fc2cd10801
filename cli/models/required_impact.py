"""Refusing a version whose impact is not known, is old, or is bad."""

import time

from flumen.models.manifest import Manifest
from flumen.models.repository import Repository
from flumen.models.settings import ModelSettings
from flumen.replay.impact.kept import ImpactRecords
from flumen.streams.errors import ImpactInsufficient

_HOUR_US = 3_600_000_000


def require_impact(
    repository: Repository, standing: Manifest | None, version: Manifest, settings: ModelSettings
) -> None:
    """Return if what the version would change is known and good enough, or nothing classifies that it would replace.

    Raises:
        ImpactInsufficient: its impact is missing, of some images only, older than it may be, or worse than it may be.
        ImpactUnreadable: it is damaged.
    """
    if standing is None or standing.sha256 == version.sha256:
        return
    command = f"`flumen impact {standing} {version}`"
    record = ImpactRecords(repository.url).of(standing, version)
    if record is None:
        raise ImpactInsufficient(
            f"nobody knows what {version} would change in place of {standing}: run {command}. Nothing was written"
        )
    if record.where:
        raise ImpactInsufficient(
            f"the impact of {version} is known for images of `{record.where:.80}` alone: run {command} without "
            "--where. Nothing was written"
        )
    age_h = (time.time_ns() // 1000 - record.snapshot_us) / _HOUR_US
    if not 0 <= age_h <= settings.impact_max_age_h:
        raise ImpactInsufficient(
            f"the impact of {version} is {age_h:,.0f} hours old, and may be {settings.impact_max_age_h:g} "
            f"(impact_max_age_h): run {command} again. Nothing was written"
        )
    if record.difference_high is not None and record.difference_high < 0:
        raise ImpactInsufficient(
            f"{version} is less often right than {standing} on {record.labelled:,} stored images, by "
            f"{-100 * (record.difference or 0):.2f} points, and that is not chance. Nothing was written"
        )
    if record.agreement < settings.impact_min_agreement:
        raise ImpactInsufficient(
            f"{version} answers {100 * record.agreement:.1f} of a hundred stored images as {standing} does, and "
            f"{100 * settings.impact_min_agreement:g} are asked for (impact_min_agreement): {command} --page shows the "
            "others. Nothing was written"
        )
