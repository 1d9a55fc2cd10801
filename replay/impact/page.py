"""What was found of an impact, as one page that loads nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime

from flumen.models.reports.markup import Markup, element, shortened
from flumen.models.reports.page import page, section
from flumen.models.reports.pictures import data_uri, small_png
from flumen.models.reports.plot import Cell, Number, Table, filtered, table
from flumen.replay.alike import groups
from flumen.replay.impact.measuring import Affected, Impact
from flumen.replay.impact.verdict import verdict

MOST_PICTURES = 60
_MOST_ROWS = 500


def impact_page(old: str, new: str, impact: Impact, made_at: datetime) -> str:
    """Return the page, as it is to be written in UTF-8. `old`, `new`: the models; `made_at`: now, UTC."""
    when = datetime.fromtimestamp(impact.reading.snapshot_us / 1e6, UTC)
    head = element(
        "header",
        element("h1", f"From {old} to {new}"),
        *(element("p", line) for line in verdict(old, new, impact)),
        element(
            "p",
            f"The images are those of {when:%Y-%m-%d %H:%M} UTC. {made_at:%Y-%m-%d %H:%M} UTC.",
            class_="note",
        ),
    )
    parts: list[tuple[str, str, Sequence[Markup]]] = [
        ("affected", "Images that are answered otherwise", [_pictures(impact)]),
        ("classes", "From class to class", [table(transitions_table(impact))]),
        ("slices", "Slices", [filtered("all-slices", "Show those with", slices_table(impact))]),
    ]
    sections = [section(place, title, *content) for place, title, content in parts]
    return page(f"From {old} to {new}", [head, *sections], [(place, title) for place, title, _ in parts])


def transitions_table(impact: Impact) -> Table:
    """Return how many images go from one class to another, the most frequent first."""
    rows: list[list[Cell]] = [[each.old, each.new, each.images] for each in impact.transitions[:_MOST_ROWS]]
    return Table(["the old model says", "the new one", "images"], rows, sortable=True)


def slices_table(impact: Impact) -> Table:
    """Return the slices, those that change most first."""
    rows: list[list[Cell]] = []
    for each in impact.slices[:_MOST_ROWS]:
        difference = each.difference
        rows.append(
            [
                each.column,
                shortened(each.value),
                each.images,
                Number(f"{100 * each.changed / each.images:.1f} %", each.changed / each.images),
                each.labelled,
                None if difference is None else Number(f"{100 * difference:+.2f} %", difference),
                Number(f"{each.adjusted:.2g}", each.adjusted),
            ]
        )
    heads = ["column", "value", "images", "answered otherwise", "labelled", "accuracy", "p, corrected"]
    return Table(heads, rows, sortable=True)


def pictured(impact: Impact) -> list[tuple[Affected, int]]:
    """Return images to be shown, and for how many that look alike each stands."""
    shown = [each for each in impact.affected if each.id in impact.pictures]
    found = groups([each.hash_ for each in shown], most=MOST_PICTURES)
    return [(shown[each.picture], len(each.rows)) for each in found]


def _pictures(impact: Impact) -> Markup:
    shown = pictured(impact)
    if not shown:
        return element("p", "There are none.")
    return element("ul", *(_picture(impact, image, alike) for image, alike in shown), class_="pictures")


def _picture(impact: Impact, image: Affected, alike: int) -> Markup:
    said = f"{image.old} to {image.new}"
    more = f"; known: {image.known}" if image.known is not None else ""
    others = f"; {alike - 1} more look like it" if alike > 1 else ""
    seen = impact.pictures[image.id]
    return element(
        "li",
        element("img", src=data_uri(small_png(seen)), alt=shortened(image.id), loading="lazy"),
        element("p", shortened(f"{said}{more}{others}")),
    )
