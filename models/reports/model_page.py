"""The report of one version of a model, as a page."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from flumen.models.evaluation.intervals import Interval
from flumen.models.evaluation.mistakes import Mistake
from flumen.models.evaluation.report import Report
from flumen.models.manifest import Manifest, Training
from flumen.models.reports.confusion import FEW, cell_id, confusion_of, confusion_plot
from flumen.models.reports.markup import Markup, element, joined, outside, shortened
from flumen.models.reports.model_plots import reliability_plot, robustness_plots, training_plots
from flumen.models.reports.page import page, section
from flumen.models.reports.pictures import MOST_LISTED, Pictures
from flumen.models.reports.plot import Plot, Table, figure, filtered, table
from flumen.models.trainers.trainer import Progress

_CHANCE = 0.05


@dataclass(frozen=True, slots=True)
class ModelReport:
    """What a page is made of. Without pictures (`Pictures()`), images are named by their ids.

    `rounds`: those of its training, where they were kept.
    """

    manifest: Manifest
    report: Report
    pictures: Pictures = field(default_factory=Pictures)
    rounds: Sequence[Progress] = ()

    def plots(self) -> list[Plot]:
        """Return all plots of the page."""
        robustness = self.report.robustness
        curves = robustness_plots(robustness) if robustness else []
        return [
            self._confusion(),
            reliability_plot(self.report.reliability),
            *training_plots(self.rounds),
            *curves,
        ]

    def html(self) -> str:
        """Return the page, as it is to be written in UTF-8."""
        sections: list[tuple[str, str, Markup | None]] = [
            ("mistakes", "Mistakes", self._mistakes()),
            ("suspects", "Labels that may be wrong", self._suspects()),
            ("classes", "Classes", self._classes()),
            ("training", "How it learnt", self._training()),
            ("robustness", "Changing input", self._robustness()),
            ("against", "Other models", self._against()),
            ("made", "How it was made", self._made()),
        ]
        matrix = [
            figure(self._confusion(), "large" if len(self.manifest.labels) > FEW else "small"),
            figure(reliability_plot(self.report.reliability), "middling"),
        ]
        first = section(
            "confusion",
            "Where it errs",
            element("div", *matrix, class_="sides"),
            joined(*self._behind_cells()),
        )
        rest = [(place, title, content) for place, title, content in sections if content is not None]
        parts = [self._header(), first, *(section(*one) for one in rest)]
        titles = [("confusion", "Where it errs"), *((place, title) for place, title, _ in rest)]
        return page(f"{self.manifest} on {self.report.data.description}", parts, titles)

    def _confusion(self) -> Plot:
        confusion = confusion_of(self.report.confusion, self.report.labels)
        return confusion_plot(confusion, self.pictures.cells)

    def _header(self) -> Markup:
        report, measures = self.report, self.report.measures
        when = datetime.fromtimestamp(report.evaluated_at / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")
        tiles = [
            _tile("Accuracy", measures.accuracy, measures.accuracy_interval),
            _tile("Macro F1", measures.macro_f1, measures.macro_f1_interval),
            _tile("Log loss, nats", measures.log_loss, measures.log_loss_interval),
            _tile("Brier score, 0 to 2", measures.brier, measures.brier_interval),
            _tile("Calibration error", measures.calibration_error, None),
        ]
        article = Table(
            ("measure", "value"),
            [
                (element("span", "precision, as the article counts"), measures.precision),
                (element("span", "recall, as the article counts"), measures.recall),
                (element("span", "F1, as the article counts"), measures.f1),
                (
                    element("span", "calibration error, bins of equal mass"),
                    measures.calibration_error_equal_mass,
                ),
                (
                    element("span", "calibration error that chance explains"),
                    measures.calibration_error_by_chance,
                ),
            ],
        )
        training = self.manifest.training
        learnt = (
            joined(
                "Learnt from ",
                outside(training.data),
                f" in {training.duration_s:,.1f} s, seed {training.seed}.",
            )
            if training
            else "How it was trained is not known: it was registered as a file."
        )
        return element(
            "header",
            element("h1", outside(str(self.manifest))),
            element(
                "p", f"On {report.data.images:,} images: ", outside(report.data.description), f". {when}."
            ),
            element("p", learnt),
            element("dl", *tiles, class_="tiles"),
            element("p", "Intervals hold the true value 19 times of 20.", class_="note"),
            element("details", element("summary", "More measures"), table(article)),
        )

    def _mistakes(self) -> Markup:
        shown = self.report.mistakes[:MOST_LISTED]
        wrong = sum(map(sum, self.report.confusion)) - sum(
            row[position] for position, row in enumerate(self.report.confusion)
        )
        if not wrong:
            return element("p", "None: every image was classified right.")
        said = element("p", f"The {len(shown):,} that it was surest of, of {wrong:,}.", class_="note")
        return joined(said, self._pictures((one.id, _mistake(one)) for one in shown))

    def _suspects(self) -> Markup | None:
        shown = self.report.suspects[:MOST_LISTED]
        if not shown:
            return None
        said = (
            f"The first {len(shown):,} of {self.report.suspected:,}, by confident learning. A list to look through, "
            "and no verdict."
        )
        captions = (
            (
                one.id,
                (
                    joined("labelled ", outside(one.known), f" ({one.known_probability:.3f})"),
                    joined("seems ", outside(one.suggested), f" ({one.suggested_probability:.3f})"),
                ),
            )
            for one in shown
        )
        return joined(element("p", said, class_="note"), self._pictures(captions))

    def _classes(self) -> Markup:
        rows = [(one.label, one.images, one.precision, one.recall, one.f1) for one in self.report.classes]
        of = Table(("class", "images", "precision", "recall", "F1"), rows, sortable=True)
        return filtered("class-table", "Filter the classes", of)

    def _training(self) -> Markup | None:
        plots = [figure(plot, "middling") for plot in training_plots(self.rounds)]
        return element("div", *plots, class_="sides") if plots else None

    def _robustness(self) -> Markup | None:
        robustness = self.report.robustness
        if robustness is None:
            return None
        said = (
            f"Accuracy on {robustness.images:,} images, disturbed ever more. Dashed: undisturbed, "
            f"{robustness.undisturbed:.3f}. Shaded: 95 % intervals. Mean over all of it {robustness.mean:.3f}."
        )
        plots = (figure(plot) for plot in robustness_plots(robustness))
        return joined(element("p", said, class_="note"), element("div", *plots, class_="plots"))

    def _against(self) -> Markup | None:
        if not self.report.against:
            return None
        rows = []
        for other in self.report.against:
            found = other.comparison
            told = "better" if found.difference > 0 else "worse"
            rows.append(
                (
                    f"{other.model}@{other.version}",
                    other.accuracy,
                    found.difference,
                    found.interval.low,
                    found.interval.high,
                    found.only_first,
                    found.only_second,
                    found.p_value,
                    told if found.p_value < _CHANCE else "may be chance",
                )
            )
        columns = (
            "model",
            "accuracy",
            "difference",
            "95 % from",
            "to",
            "right here alone",
            "right there alone",
        )
        return table(Table((*columns, "p (McNemar)", "this model is"), rows))

    def _made(self) -> Markup:
        manifest, training = self.manifest, self.manifest.training
        size = manifest.input.preprocess
        facts = [
            ("reads", f"{size.width} x {size.height} pixels, {'colour' if size.channels == 3 else 'grey'}"),  # noqa: PLR2004
            ("threshold", "none" if size.threshold is None else f"{size.threshold} of 255"),
            ("model's sha256", manifest.sha256),
            ("images' sha256", self.report.data.sha256),
        ]
        if training:
            facts += [
                ("learnt from", _learnt_from(training)),
                ("their sha256", training.data_sha256),
                ("seed", f"{training.seed}"),
                *((name, f"{value}") for name, value in training.parameters.items()),
                ("time to train", f"{training.duration_s:,.1f} s"),
                *((f"with {name}", value) for name, value in training.software.items()),
            ]
        else:
            facts.append(("learnt from", "not known: it was registered as a file"))
        pairs = (joined(element("dt", outside(name)), element("dd", outside(value))) for name, value in facts)
        return element("dl", *pairs, class_="facts")

    def _behind_cells(self) -> Iterable[Markup]:
        """Yield a part for each cell that has pictures; a link to it shows it, without any script."""
        labels = self.report.labels
        for (known, predicted), shown in self.pictures.cells.items():
            count = self.report.confusion[known][predicted]
            title = joined(outside(labels[known]), " taken for ", outside(labels[predicted]))
            what = "the least sure" if known == predicted else "the surest"
            of = f"{count:,}" if len(shown) == count else f"{what} {len(shown)} of {count:,}"
            captions = ((one.id, (f"sure {one.confidence:.3f}",)) for one in shown)
            yield element(
                "div",
                element("h3", title, f": {of}"),
                element("a", "Back to the matrix", href="#confusion"),
                self._pictures(captions),
                id=cell_id(known, predicted),
                class_="behind",
                tabindex=-1,
            )

    def _pictures(self, captions: Iterable[tuple[str, Sequence[str]]]) -> Markup:
        items = []
        for name, lines in captions:
            uri = self.pictures.uris.get(name)
            picture = element("img", src=uri, alt=shortened(name), loading="lazy") if uri else Markup.of("")
            said = joined(*(joined(line, element("br")) for line in lines))
            items.append(
                element("li", picture, element("p", said, element("span", outside(name), class_="quiet")))
            )
        return element("ul", *items, class_="pictures")


def _tile(name: str, value: float, interval: Interval | None) -> Markup:
    between = f"{interval.low:.4f} to {interval.high:.4f}" if interval else "15 bins of equal width"
    return element(
        "div",
        element("dt", name),
        element(
            "dd", element("div", f"{value:.4f}", class_="value"), element("div", between, class_="quiet")
        ),
        class_="tile",
    )


def _mistake(one: Mistake) -> tuple[Markup, Markup]:
    return (
        joined("is ", outside(one.known), f" ({one.known_probability:.3f})"),
        joined("said ", outside(one.predicted), f" ({one.confidence:.3f})"),
    )


def _learnt_from(training: Training) -> str:
    """Return what a model has learnt from, and of how many images, unless the former says so."""
    if training.images in map(int, re.findall(r"\d+", training.data.replace(",", ""))):
        return training.data
    return f"{training.data}: {training.images:,} images"
