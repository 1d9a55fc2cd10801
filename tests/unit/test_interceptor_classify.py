import numpy as np
import pytest
from images import CLASSIFIED_AT, Brightness, batch, context

from flumen.interceptor import Context, Preprocess
from flumen.interceptor.classify import Classify
from flumen.interceptor.errors import BadAnswer, InterceptorError


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
    declared = {column.name for column in Classify.columns} - {"embedding"}  # this model names none
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

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def probabilities(self, tensor):
        answers = super().probabilities(tensor)
        answers[tensor.mean(axis=1) == 1.0, 4] = self.value
        return answers


@pytest.mark.parametrize(
    ("value", "flaw"),
    [
        (np.nan, "NaN or infinity"),
        (np.inf, "NaN or infinity"),
        (5.4, "values that are not probabilities: from 0.05556 to 5.4, of sum 6.344"),
        (-0.01, "values that are not probabilities: from -0.01 to 0.5, of sum 0.9344"),
        (0.1, "values that are not probabilities: from 0.05556 to 0.5, of sum 1.044"),
        (3e38, "values that are not probabilities: from 0.05556 to 3e+38, of sum 3e+38"),
    ],
)
def test_rejects_an_answer_that_is_no_distribution_and_keeps_the_others(value, flaw):
    step = Classify().intercept(with_pixels(0, 255, 130), Context(NoAnswerForWhite(value), CLASSIFIED_AT))
    assert step.oks.columns["prediction"].tolist() == [0, 5]
    assert [image.id for image in step.oks.images] == ["image-0", "image-2"]
    (reject,) = step.errs
    assert reject.stage == "classify"
    assert type(reject.error) is BadAnswer
    assert str(reject.error) == (
        f"image 'image-1': the model brightness@3 answers with {flaw}. Go back to another version of it, or mend it, "
        "and replay this image"
    )


def test_an_answer_of_another_shape_is_none_to_any_image_of_its_call():
    class OneClassShort(Brightness):
        def probabilities(self, tensor):
            return super().probabilities(tensor)[:, :9]

    step = Classify().intercept(with_pixels(0, 255), Context(OneClassShort(), CLASSIFIED_AT))
    assert len(step.oks) == 0
    assert [
        "float32 of shape (2, 9) to 2 images, of 10 classes" in str(reject.error) for reject in step.errs
    ] == [
        True,
        True,
    ]


class FailsForWhite(Brightness):
    """As a network with a table that is looked up by what is in an image, and is too short."""

    def probabilities(self, tensor):
        if (tensor.mean(axis=1) == 1.0).any():
            raise RuntimeError("index 11 is out of bounds")
        return super().probabilities(tensor)


def test_an_image_for_which_the_model_fails_is_rejected_and_the_others_are_kept():
    model = FailsForWhite()
    shades = [255 if row in (3, 40) else row for row in range(50)]
    step = Classify().intercept(with_pixels(*shades), Context(model, CLASSIFIED_AT))
    assert len(step.oks) == 48
    assert [reject.image.id for reject in step.errs] == ["image-3", "image-40"]
    assert "the model brightness@3 answers with an error: index 11 is out of bounds" in str(
        step.errs[0].error
    )
    assert len(model.batches) < 20, "not one by one"


def test_a_batch_of_nothing_but_images_for_which_the_model_fails():
    step = Classify().intercept(with_pixels(255, 255), Context(FailsForWhite(), CLASSIFIED_AT))
    assert (len(step.oks), len(step.errs)) == (0, 2)


def test_a_model_that_fails_whatever_it_is_asked_is_to_blame_itself():
    class Fails(Brightness):
        def probabilities(self, tensor):
            raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        Classify().intercept(with_pixels(0, 255), Context(Fails(), CLASSIFIED_AT))


def test_without_pixels_it_names_the_setting():
    with pytest.raises(InterceptorError, match="put decode before it in the setting interceptors"):
        Classify().intercept(batch(b"x"), context())


def test_every_answer_unusable():
    step = Classify().intercept(with_pixels(255), Context(NoAnswerForWhite(np.nan), CLASSIFIED_AT))
    assert len(step.oks) == 0
    assert len(step.errs) == 1
    assert step.oks.columns["label"] == []
