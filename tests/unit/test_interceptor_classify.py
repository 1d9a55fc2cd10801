import numpy as np
import pytest
from images import CLASSIFIED_AT, Brightness, batch, context

from interceptor import Context, Preprocess
from interceptor.classify import Classify
from interceptor.errors import InterceptorError, Unclassifiable


def with_pixels(*values: int):
    shades = np.array(values, np.uint8).reshape(-1, 1, 1)
    return batch(*[b""] * len(values)).with_columns(pixels=np.broadcast_to(shades, (len(values), 28, 28)))


def test_classifies_a_whole_batch_at_once():
    classifier = Brightness()
    step = Classify().intercept(with_pixels(0, 255, 130), Context(classifier, CLASSIFIED_AT))
    columns = step.oks.columns
    assert columns["prediction"].tolist() == [0, 9, 5]
    assert columns["prediction"].dtype == np.int32
    assert columns["label"] == ["0", "9", "5"]
    assert columns["confidence"].tolist() == [0.5, 0.5, 0.5]
    assert columns["confidence"].dtype == np.float32
    assert columns["model"] == ["brightness"] * 3
    assert columns["model_version"].tolist() == [3, 3, 3]
    assert columns["classified_at"].tolist() == [CLASSIFIED_AT] * 3
    assert columns["tensor"].shape == (3, 784)
    assert columns["probabilities"].shape == (3, 10)
    assert step.errs == ()
    assert classifier.batches == [3]


def test_an_empty_batch_has_every_column_and_no_inference():
    classifier = Brightness()
    step = Classify().intercept(with_pixels(), Context(classifier, CLASSIFIED_AT))
    declared = {column.name for column in Classify.columns}
    assert declared | {"pixels", "tensor", "probabilities"} == set(step.oks.columns)
    assert all(len(values) == 0 for values in step.oks.columns.values())
    assert step.oks.columns["probabilities"].shape == (0, 10)
    assert classifier.batches == []


def test_a_model_never_gets_more_than_fits_at_once():
    """50 images of 512 x 512 pixels in RGB are 150 MiB as numbers; each part is at most 32 MiB."""
    classifier = Brightness(Preprocess(512, 512, 3))
    shades = np.linspace(0, 255, 50).astype(np.uint8)
    pixels = np.broadcast_to(shades[:, None, None, None], (50, 512, 512, 3))
    images = batch(*(b"x" for _ in shades)).with_columns(pixels=pixels)
    answers = Classify().intercept(images, Context(classifier, CLASSIFIED_AT)).oks.columns
    assert classifier.batches == [10] * 5
    assert answers["prediction"].tolist() == [min(int(shade / 255 * 10), 9) for shade in shades]


class NoAnswerForWhite(Brightness):
    """As a network whose sums overflow on bright images, in one class of ten."""

    def __init__(self, overflow: float) -> None:
        super().__init__()
        self.overflow = overflow

    def probabilities(self, tensor):
        answers = super().probabilities(tensor)
        answers[tensor.mean(axis=1) == 1.0, 4] = self.overflow
        return answers


@pytest.mark.parametrize("overflow", [np.nan, np.inf])
def test_rejects_an_answer_that_is_no_number_and_keeps_the_others(overflow):
    step = Classify().intercept(with_pixels(0, 255, 130), Context(NoAnswerForWhite(overflow), CLASSIFIED_AT))
    assert step.oks.columns["prediction"].tolist() == [0, 5]
    assert [image.id for image in step.oks.images] == ["image-0", "image-2"]
    (reject,) = step.errs
    assert reject.stage == "classify"
    assert type(reject.error) is Unclassifiable
    assert str(reject.error) == (
        "image 'image-1': the model brightness@3 answers with NaN or infinity; check that model"
    )


def test_without_pixels_it_names_the_setting():
    with pytest.raises(InterceptorError, match="put decode before it in the setting interceptors"):
        Classify().intercept(batch(b"x"), context())


def test_every_answer_unusable():
    step = Classify().intercept(with_pixels(255), Context(NoAnswerForWhite(np.nan), CLASSIFIED_AT))
    assert len(step.oks) == 0
    assert len(step.errs) == 1
    assert step.oks.columns["label"] == []
