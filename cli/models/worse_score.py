"""Asking before a version classifies that has scored less than the champion."""

import sys

import typer

from flumen.cli.output import errors, how_many
from flumen.models.errors import ModelError
from flumen.models.manifest import Manifest
from flumen.models.repository import CHAMPION, Repository
from flumen.streams.control.operator.writer import read_newest
from flumen.streams.control.records import ModelRef
from flumen.streams.errors import ScoresWorse
from flumen.streams.settings import Settings


def standing_manifest(settings: Settings, repository: Repository, name: str) -> Manifest | None:
    """Return the champion's manifest, None where this repository cannot tell.

    Raises:
        KafkaUnavailable, TopicMissing: the control topic cannot be read.
    """
    newest = read_newest(settings, name)
    try:
        version = newest.champion.version if newest else repository.alias(name, CHAMPION)
        manifest = repository.manifest(name, version) if version is not None else None
    except ModelError:
        return None
    return None if newest and manifest and manifest.sha256 != newest.champion.sha256 else manifest


def accept_score(
    repository: Repository, name: str, ref: ModelRef, standing: Manifest | None, yes: bool
) -> None:
    """Return if a version scored no less than the champion, or on other images, or if somebody wants it all the same.

    Asks on a terminal, unless `yes`.

    Raises:
        ScoresWorse: it did, and nobody wants it; the message names both scores.
    """
    told = tell_if_worse(repository.manifest(name, ref.version), standing) if standing else None
    if told is None:
        return
    if yes:
        errors.print(f"{told}.", markup=False, highlight=False, soft_wrap=True)
        return
    if not (sys.stdin.isatty() and errors.is_terminal):
        raise ScoresWorse(f"{told}. Nothing was written; --yes lets it classify all the same")
    errors.print(f"{told}.", markup=False, highlight=False, soft_wrap=True)
    try:
        wanted = typer.confirm("Let it classify all the same?", err=True)
    except typer.Abort:  # Ctrl-C or Ctrl-D
        wanted = False
    if not wanted:
        raise ScoresWorse(f"{name}@{ref.version} was not wanted, then. Nothing was written")


def tell_if_worse(manifest: Manifest, standing: Manifest) -> str | None:
    """Say that a version scored less than the standing one on the same images; None where it did not."""
    scores, former = manifest.scores, standing.scores
    if scores is None or former is None or scores.data_sha256 != former.data_sha256:
        return None
    if scores.accuracy >= former.accuracy:
        return None
    return (
        f"{manifest} has an accuracy of {scores.accuracy:.4f}, and {standing}, which classifies now, "
        f"{former.accuracy:.4f}, on the same {how_many(scores.images, 'image')}"
    )
