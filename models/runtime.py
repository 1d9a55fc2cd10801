"""Running a model by ONNX Runtime, which only this file knows."""

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from flumen.interceptor.classifier import Preprocess
from flumen.interceptor.open_files import exhausted
from flumen.interceptor.reasons import shortened
from flumen.models.errors import InferenceFailed, NotRunnable, RepositoryUnavailable, TooSlow
from flumen.models.manifest import Manifest

_FATAL_ONLY = 4
_LONGEST_REASON = 400

# What it has to say reaches us as exceptions; its own lines, in colours, would stand between the user's.
onnxruntime.set_default_logger_severity(_FATAL_ONLY)


class OnnxClassifier:
    """A model in memory, ready to classify. Several threads may use it at once.

    It comes from bytes, never from a path of the repository: what was verified is what runs, and no file beside it can
    be read.
    Use `flumen.models.repository.Repository.load` to get one; made directly, it is not verified.
    """

    def __init__(self, content: bytes, manifest: Manifest, threads: int = 1) -> None:
        """Load the model; `threads` are used for one batch.

        Raises:
            NotRunnable: ONNX Runtime refuses it.
            RepositoryUnavailable: there is no room for a copy of it.
        """
        self._manifest = manifest
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        # Idle threads of a worker must not burn the cores that decoding and the stores need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Without this it would also take its own flatbuffer format, which nobody here has looked into.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        with _unnamed_file(content) as path:
            try:
                # There is nothing to fall back to: it would load a broken file twice, and print on standard output.
                self._session = onnxruntime.InferenceSession(
                    path, options, providers=["CPUExecutionProvider"], enable_fallback=0
                )
            except Exception as error:  # its exceptions have no base of their own
                if files := exhausted(error):
                    raise RepositoryUnavailable(f"{self} cannot be loaded: {files}") from error
                raise NotRunnable(
                    f"ONNX Runtime {onnxruntime.__version__} does not load {self}: "
                    f"{_first_line(error).replace(path, 'the file')}. "
                    "Export the model again for an opset that this version knows"
                ) from error
        self._embedding_size = None if manifest.output.embedding is None else self._size_of_embedding()

    @property
    def name(self) -> str:
        """The model's name, such as `mnist`."""
        return self._manifest.name

    @property
    def version(self) -> int:
        """The model's version, 1 or more."""
        return self._manifest.version

    @property
    def labels(self) -> Sequence[str]:
        """The name of each class; position = the prediction."""
        return self._manifest.labels

    @property
    def preprocess(self) -> Preprocess:
        """How its input is prepared."""
        return self._manifest.input.preprocess

    @property
    def manifest(self) -> Manifest:
        """Everything that is known of it."""
        return self._manifest

    @property
    def embedding_size(self) -> int | None:
        """The dimensions of its embeddings; None where it names none."""
        return self._embedding_size

    def probabilities(self, tensor: NDArray[np.float32], limit_s: float | None = None) -> NDArray[np.float32]:
        """Classify a batch: input as `preprocess` says, n rows; output n x len(labels), each row sums to 1.

        `limit_s`: seconds until it is given up, at the end of the operator that runs then.

        Raises:
            InferenceFailed: ONNX Runtime refuses the batch: another shape or dtype, or no memory.
            TooSlow: it is not done in time.
        """
        if not len(tensor):
            return np.empty((0, len(self.labels)), dtype=np.float32)
        return self._run([self._manifest.output.tensor], tensor, limit_s)[0]

    def with_embeddings(
        self, tensor: NDArray[np.float32], limit_s: float | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return probabilities as `probabilities` does, and of the same run the embeddings, n x `embedding_size`.

        Only where `embedding_size` is not None. Raises as `probabilities`.
        """
        output = self._manifest.output
        assert output.embedding is not None
        if not len(tensor):
            return self.probabilities(tensor), np.empty((0, self._embedding_size or 0), dtype=np.float32)
        probabilities, embeddings = self._run([output.tensor, output.embedding], tensor, limit_s)
        return probabilities, embeddings

    def _size_of_embedding(self) -> int:
        try:
            sizes = {value.name: value.shape for value in self._session.get_outputs()}
            return int(sizes[self._manifest.output.embedding][1])
        except (UnicodeDecodeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise NotRunnable(
                f"{self} does not say how many dimensions its embedding {self._manifest.output.embedding!r} has. "
                "Export the model again with that size, or name no embedding"
            ) from error

    def _run(
        self, outputs: list[str], tensor: NDArray[np.float32], limit_s: float | None
    ) -> list[NDArray[np.float32]]:
        options = onnxruntime.RunOptions()
        options.log_severity_level = _FATAL_ONLY
        try:
            with _giving_up(options, limit_s):
                found = self._session.run(outputs, {self._manifest.input.tensor: tensor}, options)
        except Exception as error:  # its exceptions have no base of their own
            if options.terminate:
                raise TooSlow(
                    f"{self} does not classify a batch of {len(tensor)} images within {limit_s:g} s. Look for a loop "
                    "in the network that does not end, or make the network smaller"
                ) from error
            raise InferenceFailed(
                f"{self} did not classify a batch of shape {tensor.shape} and dtype {tensor.dtype}: "
                f"{_first_line(error)}"
            ) from error
        return [np.asarray(each) for each in found]

    def __str__(self) -> str:
        return str(self._manifest)


@contextmanager
def _unnamed_file(content: bytes) -> Iterator[str]:
    """Yield a path to these bytes that only this process has, and that is gone with it.

    ONNX Runtime keeps the interpreter's lock while it parses bytes (0.6 ms a megabyte), and not while it parses a file.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.TemporaryFile())
            file.write(content)
            file.flush()
            file.seek(0)
        except OSError as error:
            if files := exhausted(error):
                raise RepositoryUnavailable(
                    f"a model cannot be copied to a temporary file: {files}"
                ) from error
            raise RepositoryUnavailable(
                f"a model of {len(content):,} bytes cannot be copied to a temporary file ({error}); make room there, "
                "or set TMPDIR to another folder"
            ) from error
        yield f"/dev/fd/{file.fileno()}"


@contextmanager
def _giving_up(options: onnxruntime.RunOptions, limit_s: float | None) -> Iterator[None]:
    """End a run with these options that takes longer."""
    if limit_s is None:
        yield
        return
    timer = threading.Timer(limit_s, setattr, (options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _first_line(error: Exception) -> str:
    # It quotes names of the file, which can be of any length.
    return shortened(str(error).strip().partition("\n")[0], _LONGEST_REASON) or type(error).__name__
