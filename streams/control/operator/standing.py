"""What stands of a model that nobody has written a state of, by what its workers say."""

from flumen.models.repository import CHAMPION, Repository
from flumen.models.slot import NO_REVISION
from flumen.streams.control.operator.fleet import Fleet, FleetView
from flumen.streams.control.records import MAX_FIRST_REVISION, ModelRef
from flumen.streams.errors import NoModel


def standing_champion(fleet: Fleet, view: FleetView, repository: Repository) -> ModelRef:
    """Return the champion of a model without a state: the workers', where all have the same, else the alias's.

    Only workers that Kafka knows as members count: anybody may say what others run, and the answer is signed.

    Raises:
        NoModel: there is neither.
        ModelError: the repository does not answer, or the alias is damaged.
    """
    if view.desired is not None:
        return view.desired.champion
    live = [seen for seen in view.workers if seen.is_live and seen.status.champion is not None]
    members = fleet.members(view.model) if live else None
    running = {
        seen.status.champion
        for seen in live
        if seen.status.champion and members and members.has(seen.status.worker)
    }
    if len(running) == 1:
        return running.pop()
    version = repository.alias(view.model, CHAMPION)
    if version is None:
        raise NoModel(
            f"{view.model} has no champion in {repository.url}, and no worker runs it. Make a first one there: "
            "`flumen models register` and `flumen train` do where there is none"
        )
    return ModelRef(version, repository.manifest(view.model, version).sha256)


def highest_revision(view: FleetView) -> int:
    """Return the highest revision that a worker knows: more than the audit log's where that was made anew.

    Whoever may write to the status topic may say any: with one that no log may begin with, nobody would follow it.
    """
    known = (max(seen.status.heard, seen.status.revision) for seen in view.workers)
    return max((revision for revision in known if revision < MAX_FIRST_REVISION), default=NO_REVISION)
