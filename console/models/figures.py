"""The plots of a model's report on its page, and the tables behind them."""

from collections.abc import Callable, Sequence

from markupsafe import Markup

from flumen.console.images.asked import View
from flumen.console.models.catalogue import Version
from flumen.models.manifest import Manifest
from flumen.models.reports.confusion import confusion_of, confusion_plot
from flumen.models.reports.model_plots import reliability_plot, robustness_plots, training_plots
from flumen.models.reports.plot import Plot, figure

SCORES = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "log_loss": "Log loss, nats",
    "brier": "Brier score, 0 to 2",
    "calibration_error": "Calibration error",
    "precision": "Precision, as the article counts",
    "recall": "Recall, as the article counts",
    "f1": "F1, as the article counts",
}
"""What a manifest keeps of an evaluation, and what it is called."""


def drawn(plot: Plot, class_: str = "middling") -> Markup:
    """Return a plot as a part of a page; reports escape what they are made of."""
    return Markup(figure(plot, class_))  # noqa: S704


def confusion_figure(version: Version) -> Markup | None:
    """Return the confusion matrix, whose cells open the stored images that were answered so; None without scores."""
    counts = version.confusion
    if counts is None:
        return None
    labels = version.manifest.labels
    cells = [(known, said) for known, row in enumerate(counts) for said, count in enumerate(row) if count]
    link = images_link(version.manifest)
    return drawn(confusion_plot(confusion_of(counts, labels), frozenset(cells), link), "large")


def images_link(manifest: Manifest) -> Callable[[int, int], str]:
    """Return what says where the stored images of a known and a predicted class are, as this version answered them."""

    def link(known: int, predicted: int) -> str:
        filters = (
            ("knownlabel", str(known)),
            ("label", manifest.labels[predicted]),
            ("model_version", str(manifest.version)),
        )
        return "/images" + View(f'model:"{manifest.name}"', filters).address

    return link


def report_figures(version: Version) -> dict[str, Sequence[Markup]]:
    """Return the other plots, by what they are about."""
    report = version.report
    robustness = report.robustness if report else None
    return {
        "Reliability": [drawn(reliability_plot(report.reliability))] if report else [],
        "Robustness": [drawn(plot) for plot in robustness_plots(robustness)] if robustness else [],
        "How it learnt": [drawn(plot) for plot in training_plots(version.rounds)],
    }
