"""Refusing a version whose impact is not known, is old, or is bad."""

import time
from collections.abc import Callable
from contextlib import closing

from flumen.cli.output import how_many
from flumen.models.evaluation.intervals import wilson
from flumen.models.manifest import Manifest
from flumen.models.repository import CHAMPION, Repository
from flumen.models.settings import ModelSettings
from flumen.replay.impact.kept import ImpactRecords
from flumen.stores.kudu import KuduOptions, KuduReader, Predicate
from flumen.streams.control.operator.writer import read_newest
from flumen.streams.control.records import ModelRef
from flumen.streams.errors import ImpactInsufficient
from flumen.streams.settings import Settings

_HOUR_US = 3_600_000_000
_TIME = "ingested_at"


def require_for_swap(
    settings: Settings, repository: Repository, name: str, ref: ModelRef, standing: Manifest | None
) -> None:
    """Return if the impact of a version is good enough, or it is the first that is to classify.

    Raises:
        ImpactInsufficient: it is not; or this repository does not have the champion that it is to be compared with.
        ImpactUnreadable: its record is damaged.
        KafkaUnavailable, TopicMissing: the control topic cannot be read.
        StoreError: Kudu cannot be read, which says how new the images are.
    """
    if standing is None:
        if read_newest(settings, name) is None and repository.alias(name, CHAMPION) is None:
            return
        raise ImpactInsufficient(
            f"what {name}@{ref.version} would change is not known: this repository does not have the champion, as the "
            "workers run it, to compare it with. Use the repository that has both (--root). Nothing was written"
        )
    options = settings.kudu_options()
    require_impact(
        repository,
        standing,
        repository.manifest(name, ref.version),
        settings,
        lambda moment_us: has_arrived_after(options, moment_us),
    )


def has_arrived_after(options: KuduOptions, moment_us: int) -> bool:
    """Return whether Kudu holds an image that arrived later, microseconds since the epoch.

    Raises:
        StoreError: Kudu cannot be read.
    """
    with closing(KuduReader(options)) as reader:
        later = reader.scan("images", [_TIME], [Predicate(_TIME, ">", (moment_us,))])
        return any(rows.num_rows for rows in later)


def require_impact(
    repository: Repository,
    standing: Manifest,
    version: Manifest,
    settings: ModelSettings,
    has_arrived_after: Callable[[int], bool],
) -> None:
    """Return if what the version would change in place of the standing one is known, and good enough.

    `has_arrived_after`: whether an image is stored that arrived later, microseconds since the epoch.

    Raises:
        ImpactInsufficient: its impact is missing, of too few images, older than it or its images may be, or worse than
            it may be.
        ImpactUnreadable: it is damaged.
    """
    if standing.sha256 == version.sha256:
        return
    command = f"`flumen impact {standing} {version}`"
    record = ImpactRecords(repository.url).of(standing, version)
    if record is None:
        raise ImpactInsufficient(
            f"nobody knows what {version} would change in place of {standing}: run {command}, without --where and "
            "--days. Nothing was written"
        )
    if record.images < min(record.population, settings.impact_min_images):
        raise ImpactInsufficient(
            f"the impact of {version} is of {how_many(record.images, 'image')}, and has to be of "
            f"{settings.impact_min_images:,} (impact_min_images): run {command} with a larger --sample. Nothing was "
            "written"
        )
    age_h = (time.time_ns() // 1000 - record.snapshot_us) / _HOUR_US
    if not 0 <= age_h <= settings.impact_max_age_h:
        raise ImpactInsufficient(
            f"the impact of {version} is {how_many(round(age_h), 'hour')} old, and may be "
            f"{settings.impact_max_age_h:g} (impact_max_age_h): run {command} again. Nothing was written"
        )
    newer_us = round(settings.impact_max_newer_h * _HOUR_US)
    if record.newest_us is not None and has_arrived_after(record.newest_us + newer_us):
        raise ImpactInsufficient(
            f"images have arrived since the impact of {version}, more than {settings.impact_max_newer_h:g} hours after "
            f"the newest that it knows (impact_max_newer_h): run {command} again. Nothing was written"
        )
    if record.difference_high is not None and record.difference_high < 0:
        raise ImpactInsufficient(
            f"{version} is less often right than {standing} on {how_many(record.labelled, 'stored image')}, by "
            f"{-100 * (record.difference or 0):.2f} points, and that is not chance. Nothing was written"
        )
    alike = record.agreement
    if record.images < record.population:  # a sample: what is certain counts
        alike = wilson(round(alike * record.images), record.images).low
    if alike < settings.impact_min_agreement:
        raise ImpactInsufficient(
            f"{version} answers {100 * alike:.1f} of a hundred stored images as {standing} does, or more, and "
            f"{100 * settings.impact_min_agreement:g} are asked for (impact_min_agreement): {command} --page shows the "
            "others. Nothing was written"
        )
