"""`flumen reclassify --engine spark`."""

from contextlib import closing
from typing import TYPE_CHECKING

from flumen.cli.looking_back.reclassify_output import print_counts, warn_of_labels

if TYPE_CHECKING:
    from flumen.models.repository import Repository
    from flumen.models.runtime import OnnxClassifier
    from flumen.replay.scoring import Choice
    from flumen.streams.settings import Settings


def reclassify_on_spark(
    settings: "Settings",
    repository: "Repository",
    model: "OnnxClassifier",
    choice: "Choice",
    master: str | None,
    as_json: bool,
) -> None:
    """Put stored images to a model on a cluster; its answers go into the table predictions."""
    from flumen.replay.images.seen import known_pictures
    from flumen.replay.spark import spark_session
    from flumen.replay.spark.classifying import asked_of
    from flumen.replay.spark.reading import snapshot_now_us
    from flumen.replay.spark.reclassifying import Reclassification, answered_by, reclassify
    from flumen.stores.corrections import CurrentCorrections
    from flumen.stores.kudu import KuduCorrections

    options = settings.kudu_options()
    asked = asked_of(f"{model.name}@{model.version}", repository, settings.limits())
    seen = known_pictures(repository, model.preprocess)
    work = Reclassification(asked, model.preprocess, seen, choice, snapshot_now_us())
    with (
        closing(CurrentCorrections(KuduCorrections(options))) as corrections,
        spark_session(master) as spark,
    ):
        corrections.connect()
        answered = answered_by(spark, options, work)
        warn_of_labels(answered, model, repository)
        counts = reclassify(spark, options, work, answered, corrections)
    print_counts(model, work.at_us, counts, as_json)
