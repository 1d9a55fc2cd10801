"""The errors of the models, and of the processes that look into what arrives.

ModelError
├── BadModelName           a name, version or alias that may not be one
├── ModelNotFound          the repository has no such model, version or alias
├── RepositoryUnavailable  the repository's storage does not answer; retriable
│   └── RepositoryRefused      it does not let this process in, or its address is none: waiting changes nothing
├── AliasInvalid           an alias does not hold a version
├── FileUnreadable         a file to make a version of cannot be read
├── ManifestInvalid        a manifest that cannot be read, or contradicts itself
│   └── ManifestTooNew     a manifest whose schema is newer than this version of flumen reads
├── IdxInvalid             a file that is not IDX, or is cut short
├── DatasetInvalid         images and labels that do not belong together
├── ArraysUnwritable       the folder of data sets' arrays is full, or cannot be written
├── AnswersInvalid         answers that cannot be compared with labels
├── ReportInvalid          a report of an evaluation that cannot be read
├── ReportMissing          a model was not evaluated, or not with these images
├── ReportNotKept          a model is registered, and the report on it cannot be written beside it
├── UnknownTrainer         no trainer of that name is installed
├── BadParameters          a trainer's parameter that may not be such
├── ExtraMissing           a package is not installed that an extra of flumen brings
├── TrainingFailed         nothing was learnt: of these images, or with these parameters
│   └── Diverged               the network's weights left the range of numbers
├── ExportDiffers          a model's ONNX file does not answer as its trainer does
├── GridInvalid            a grid file that cannot be read, or makes no settings or too many
├── RunNotFound            no run or experiment of that name stands in the store
├── RunDiffers             a run of that id stands there that was made with other parameters
├── RunUnreadable          a run whose record cannot be read
├── EngineUnavailable      what is to compute an experiment does not start here, or cannot compute such runs
├── ExperimentFailed       an experiment ended with runs that can be made again
├── VerifierUnavailable    the process that verifies models does not start; retriable
├── DecoderUnavailable     a process that intercepts does not start, or ends again and again
├── InferenceFailed        a verified model could not classify a batch
└── ModelRefused           a model file that is not safe, or not what its manifest says
    ├── ModelTooLarge      more bytes than the limit
    ├── ModelCorrupt       its sha256 is not the manifest's
    ├── ModelDiffers       its sha256 is not that of the model that was asked for
    ├── ModelEmpty         it has no bytes
    ├── NotOnnx            truncated, or not ONNX at all
    ├── ExternalData       it refers to files beside it
    ├── CustomOperator     it needs operators that ONNX Runtime does not bring by standard
    ├── WrongSignature     its input or output is not what the manifest says
    ├── WrongLabelCount    it has more or fewer outputs than the manifest has labels
    ├── NotRunnable        ONNX Runtime does not load or run it
    ├── TooSlow            to verify it, or to classify one batch, takes longer than any model should
    ├── TooMuchMemory      to verify it takes more memory than it may
    ├── VerifierDied       it has ended the process that verifies it, twice
    ├── NotFinite          its outputs are NaN or infinite
    ├── NotADistribution   its outputs are numbers, and not probabilities
    └── GoldenMismatch     it does not answer the golden images as it did when it was made

Caught within the package, and never seen outside it:

Exception
├── FolderTaken            somebody else published the folder of a version first
└── NotStarted             a helper process did not start, or ended before it was ready
"""

from typing import ClassVar


class ModelError(Exception):
    """Base of all errors of this package. `retriable`: the same call may succeed later, unchanged."""

    retriable: ClassVar[bool] = False


class BadModelName(ModelError):
    """A name, version or alias that may not be one."""


class ModelNotFound(ModelError):
    """The repository has no such model, version or alias."""


class RepositoryUnavailable(ModelError):
    """The repository's storage does not answer."""

    retriable: ClassVar[bool] = True


class RepositoryRefused(RepositoryUnavailable):
    """The storage does not let this process in, or the repository's address is none: somebody has to mend that."""

    retriable: ClassVar[bool] = False


class AliasInvalid(ModelError):
    """An alias does not hold a version."""


class FileUnreadable(ModelError):
    """A model file, a manifest or a golden image to make a version of cannot be read."""


class ManifestInvalid(ModelError):
    """A manifest that cannot be read, or contradicts itself."""


class ManifestTooNew(ManifestInvalid):
    """The manifest's schema is newer than this version of flumen reads: it has to be upgraded."""


class IdxInvalid(ModelError):
    """A file that is not IDX, or is cut short."""


class DatasetInvalid(ModelError):
    """Images and labels that do not belong together."""


class ArraysUnwritable(ModelError):
    """The folder that data sets are kept in as arrays is full, or cannot be written."""


class AnswersInvalid(ModelError):
    """A model's answers that cannot be compared with labels, or with those of another model."""


class ReportMissing(ModelError):
    """A model was not evaluated, or not with these images."""


class ReportNotKept(ModelError):
    """A model is registered, and the report on it cannot be written beside it."""


class ReportInvalid(ModelError):
    """A report of an evaluation in the repository that cannot be read."""


class UnknownTrainer(ModelError):
    """No trainer of that name is installed."""


class BadParameters(ModelError):
    """A trainer's parameter that there is not, or that is out of bounds."""


class ExtraMissing(ModelError):
    """A package is not installed that an extra of flumen brings; the message names the extra."""


class TrainingFailed(ModelError):
    """Nothing was learnt: the trainer cannot do it with such images or parameters."""


class Diverged(TrainingFailed):
    """The network's weights left the range of numbers: the rate is too high.

    `before`: what had been learnt until the round before, as the trainer's `Trained`; None where that was nothing.
    """

    def __init__(self, message: str, before: object = None) -> None:
        super().__init__(message)
        self.before = before


class ExportDiffers(ModelError):
    """The ONNX file that a trainer wrote does not answer as the trainer itself does."""


class GridInvalid(ModelError):
    """A grid file that cannot be read, has a key or a value that may not be, or makes no settings or too many."""


class RunNotFound(ModelError):
    """No run or experiment of that name stands in the store."""


class RunDiffers(ModelError):
    """A run of that id and data stands in the store, and was made with other parameters."""


class RunUnreadable(ModelError):
    """A run whose record was damaged, or written by a newer version of flumen that changed what it means."""


class EngineUnavailable(ModelError):
    """The engine of an experiment does not start here, as without a GPU, or cannot compute runs of that trainer."""


class ExperimentFailed(ModelError):
    """An experiment ended, and some of its runs failed for reasons of the machine; they can be made again."""


class VerifierUnavailable(ModelError):
    """The process that verifies models does not start, or is stopping with the worker."""

    retriable: ClassVar[bool] = True


class DecoderUnavailable(ModelError):
    """A process that intercepts does not start, ends again and again, or is not wanted any more."""


class InferenceFailed(ModelError):
    """A verified model could not classify a batch."""


class ModelRefused(ModelError):
    """A model file that is not safe, or not what its manifest says. The class is the reason."""


class ModelTooLarge(ModelRefused):
    """The file has more bytes than the limit."""


class ModelCorrupt(ModelRefused):
    """The file's sha256 is not the manifest's."""


class ModelDiffers(ModelRefused):
    """The version is another file than the one that was asked for."""


class ModelEmpty(ModelRefused):
    """The file has no bytes."""


class NotOnnx(ModelRefused):
    """The file is truncated, or not ONNX at all."""


class ExternalData(ModelRefused):
    """The file refers to weights in other files."""


class CustomOperator(ModelRefused):
    """The file needs operators outside the standard domains."""


class WrongSignature(ModelRefused):
    """The file's input or output is not what the manifest says."""


class WrongLabelCount(ModelRefused):
    """The file has more or fewer outputs than the manifest has labels."""


class NotRunnable(ModelRefused):
    """ONNX Runtime does not load or run the file."""


class TooSlow(ModelRefused):
    """To verify the model, or one batch, takes longer than it may; a graph may loop, or compute, for ever."""


class TooMuchMemory(ModelRefused):
    """To verify the model takes more memory than it may."""


class VerifierDied(ModelRefused):
    """The model has ended the process that verifies it, twice."""


class NotFinite(ModelRefused):
    """The outputs are not numbers: NaN or infinity."""


class NotADistribution(ModelRefused):
    """The outputs are numbers, and not probabilities: outside 0..1, or not of sum 1."""


class GoldenMismatch(ModelRefused):
    """The model does not answer the golden images as it did when it was made."""
