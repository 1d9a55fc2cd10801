"""Which commands there are. A command's module is imported when the command is used, so that `--help` is quick.

The first sentences of their help stand here as well; a test holds them to the commands' own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

PANELS = ("Stack", "Images", "Models", "Looking back")


@dataclass(frozen=True, slots=True)
class Entry:
    """One command, or a group of them: where it is, as `module:name` in this package, and what it is for."""

    name: str
    panel: str
    place: str
    help: str


STACK, IMAGES, MODELS, LOOKING_BACK = PANELS
ENTRIES = (
    Entry(
        *("up", STACK, "stack:up"),
        "Start Kafka, Kudu and Solr, and wait until each of them answers. Those that run already are left alone.",
    ),
    Entry("down", STACK, "stack:down", "Stop the servers; their data stays, unless purged."),
    Entry(
        *("status", STACK, "stack:status"),
        "Ask every server how it does. Exit code 3 if one is down, or none was started.",
    ),
    Entry(
        *("doctor", STACK, "stack:doctor"),
        "Look for what would stop the servers: memory, disk, ports, Java, downloads. Exit code 1 if something would.",
    ),
    Entry(
        *("demo", IMAGES, "demo.demo:demo"),
        "Start everything, classify the 10,000 MNIST test images and some photos, and show what came of it.",
    ),
    Entry("worker", IMAGES, "worker:worker", "Classify what arrives, until stopped by SIGTERM or Ctrl-C."),
    Entry(
        *("produce", IMAGES, "produce:produce"),
        "Publish images: folders, files, zip and tar archives, IDX files.",
    ),
    Entry(
        *("search", IMAGES, "search:search"),
        "Search the index: by what the model said, by what an image says of itself, by place, by how it looks.",
    ),
    Entry(
        *("sql", IMAGES, "sql:sql"),
        "Ask Kudu in SQL: images, predictions, image_chunks, model_runs, corrections and others; answers, mnist.",
    ),
    Entry(
        "settings",
        IMAGES,
        "settings:settings",
        "Show every setting, its value here and now, and what it means.",
    ),
    Entry(
        *("train", MODELS, "learning.train:train"),
        "Train a model and register it as the next version; the first becomes the champion.",
    ),
    Entry(
        *("trainers", MODELS, "learning.trainers:trainers"),
        "Show what `flumen train --trainer` can learn with, and what `--set` can change of each.",
    ),
    Entry(
        *("dataset", MODELS, "learning.dataset:app"),
        "See the images to learn from: how many, of which classes, what was left out.",
    ),
    Entry(
        *("evaluate", MODELS, "learning.evaluate:evaluate"),
        "Measure a model on images whose labels are known: how often it is right, how sure it may be, where it errs.",
    ),
    Entry(
        *("report", MODELS, "learning.report:report"),
        "Write a page of what `flumen evaluate` kept of a model, with the images it errs on; or of an experiment.",
    ),
    Entry(
        "images", IMAGES, "images:app", "See one image: what is known of it, and its bytes; delete images."
    ),
    Entry("dead", IMAGES, "dead:app", "See, replay or set aside what could not be classified or stored."),
    Entry(
        *("tables", IMAGES, "tables:app"),
        "Bring the stores up to what workers write: tables in Kudu, the index in Solr, files.",
    ),
    Entry("models", MODELS, "models.app:app", "See, register and swap models."),
    Entry(
        *("experiment", MODELS, "learning.experiment:app"),
        "Train with many settings, none of them twice; see and compare what came of them.",
    ),
    Entry(
        *("audit", LOOKING_BACK, "looking_back.audit:audit"),
        "Compare the index in Solr with Kudu, image by image and column by column, and mend it.",
    ),
    Entry(
        *("drift", LOOKING_BACK, "looking_back.drift:drift"),
        "Compare what arrived, and what a model said of it, by windows of time with its training or with another time.",
    ),
    Entry(
        *("impact", LOOKING_BACK, "looking_back.impact:impact"),
        "Ask two models about stored images: what would be different with the second, where, and for better or worse.",
    ),
    Entry(
        *("label", LOOKING_BACK, "looking_back.label:label"),
        "Correct the known label of stored images, in every store; it stays when they are delivered again.",
    ),
    Entry(
        *("reclassify", LOOKING_BACK, "looking_back.reclassify:reclassify"),
        "Put stored images to another model; its answers go into the table predictions, or become the current ones.",
    ),
    Entry(
        *("console", IMAGES, "console:app"),
        "Serve a web page: see, search and correct the images, and swap models. Without a subcommand, start it.",
    ),
    Entry("keys", MODELS, "keys:app", "Make the keys that control records are signed with."),
)


class Deferred(TyperCommand):
    """Stands for a command until it is used; knows of it what the list of commands shows."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.name, help=entry.help, rich_help_panel=entry.panel)
        self._entry = entry

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Load the command itself, and hand over to it."""
        return load(self._entry).make_context(info_name, args, parent, **extra)


class Commands(TyperGroup):
    """All commands, in the order of `ENTRIES`."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for entry in ENTRIES:
            self.add_command(Deferred(entry))


def load(entry: Entry) -> Any:
    """Import an entry's module and return its command."""
    from flumen.streams.importing import without_collections

    module, name = entry.place.split(":")
    with without_collections():
        found: typer.Typer | Callable[..., Any] = getattr(import_module(f"flumen.cli.{module}"), name)
    if isinstance(found, typer.Typer):
        group = get_group(found)
        group.name = entry.name
        return _without_types_of_flags(group)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(entry.name)(found)
    return _without_types_of_flags(get_command(app))


def _without_types_of_flags(command: Any) -> Any:
    """Take `<bool>` from behind the flags in the help of a command and those below it: no value is to be given."""
    for option in command.params:
        if getattr(option, "is_flag", False) and option.metavar is None:
            option.metavar = ""
    for each in getattr(command, "commands", {}).values():
        _without_types_of_flags(each)
    return command
