"""What the commands that correct images share: the stores of the settings, and how they are told of."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from flumen.cli.actor import actor
from flumen.cli.output import errors, how_many, iso_time, printable
from flumen.replay.errors import BadCorrection
from flumen.streams.settings import Settings

if TYPE_CHECKING:
    from flumen.replay.corrections import Corrector
    from flumen.stores.corrections import Correction
    from flumen.stores.kudu import KuduReader

LONGEST_REASON = 1000


@contextmanager
def correcting(settings: Settings, reason: str, by: str | None = None) -> "Iterator[Corrector]":
    """Open the corrections of these settings, on behalf of somebody: of whoever gives the command, unless it is said.

    Raises:
        BadCorrection: no store of the settings keeps corrections; or the reason is too long.
        StoreError: Kudu does not answer.
    """
    from flumen.interceptor import load_chain, merge_columns
    from flumen.replay.corrections import Corrector
    from flumen.streams.sinks import chosen_stores, make_correction_log, make_labels, make_sinks

    if len(reason) > LONGEST_REASON:
        raise BadCorrection(
            f"a reason has {LONGEST_REASON:,} characters at the most, and not {len(reason):,}"
        )
    stores = chosen_stores(settings)
    log = make_correction_log(stores)
    if log is None:
        raise BadCorrection(
            f"corrections stand in Kudu, and the setting `sinks` names {', '.join(settings.sinks)} alone"
        )
    columns = merge_columns(step.columns for step in load_chain(settings.interceptors))
    with Corrector(
        log, make_sinks(settings, stores, columns), make_labels(stores), by or actor()
    ) as corrector:
        yield corrector


@contextmanager
def reading(settings: Settings) -> "Iterator[KuduReader]":
    """Open the tables of these settings."""
    from flumen.stores.kudu import KuduReader

    with closing(KuduReader(settings.kudu_options())) as reader:
        yield reader


def finish(corrector: "Corrector") -> None:
    """Bring into the stores what an earlier command left undone, and say so."""
    if done := corrector.finish():
        say(f"Finished what an earlier command had begun: {how_many(done, 'correction')}.")


def make_searchable(settings: Settings) -> None:
    """Let searches see at once what was changed in Solr."""
    if "solr" in settings.sinks:
        from flumen.stores.solr import SolrReader

        with closing(SolrReader(settings.solr_options())) as reader:
            reader.commit()


def shown(correction: "Correction") -> dict[str, Any]:
    """Return a correction as a row to be printed."""
    return {
        "number": correction.sequence,
        "at": iso_time(correction.corrected_at),
        "kind": correction.kind,
        "knownlabel": correction.knownlabel,
        "by": correction.actor,
        "reason": correction.reason,
        "in_all_stores": None if correction.done_at is None else iso_time(correction.done_at),
    }


def say(text: str) -> None:
    """Say something beside the result."""
    errors.print(printable(text), markup=False, highlight=False, soft_wrap=True)
