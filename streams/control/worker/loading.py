"""Loading models from the repository: one that a control record names, and the one to begin with."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from flumen.models.errors import ModelError
from flumen.models.processes.verifier import Verifier
from flumen.models.repository import CHAMPION, Repository
from flumen.models.runtime import OnnxClassifier
from flumen.models.shipped import seed
from flumen.models.slot import NO_REVISION, Serving
from flumen.models.urls import without_passwords
from flumen.streams.control.records import DesiredState, ModelRef
from flumen.streams.control.worker.throttle import NICENESS
from flumen.streams.errors import NoModel
from flumen.streams.live.metrics import Metrics
from flumen.streams.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class First:
    """What a worker begins with, and why it is not what the control topic says, if so."""

    serving: Serving
    refused: Exception | None = None


class Loader:
    """Loads versions of the one model of a worker, from its own repository: nothing else can be asked for.

    A control record gives a version's number and the sha256 of its file; name and place are the settings'.
    """

    def __init__(self, settings: Settings, metrics: Metrics, verifier: Verifier) -> None:
        """Make one. Every file has to pass `verifier`, which it closes at its end."""
        self._settings = settings
        self._metrics = metrics
        self._verifier = verifier
        self._repository = Repository(
            settings.model_repository, limits=settings.verify_limits(), verifier=self._verifier
        )

    def load(self, ref: ModelRef, throttle: Callable[[], None] = lambda: None) -> OnnxClassifier:
        """Load, verify and warm up a version, at the batch sizes in use. `throttle` is called between its steps.

        Raises:
            ModelError: the subclass is the reason.
        """
        try:
            return self._load(ref.version, ref.sha256, throttle)
        except Exception as error:
            self._metrics.models_refused.labels(type(error).__name__).inc()
            raise

    def worked_s(self) -> float:
        """Return the processor time of this thread, and of the process that verifies, in seconds."""
        return time.thread_time() + self._verifier.worked_s

    def stay_behind(self) -> None:
        """Let the process that verifies have what others leave, from now on."""
        self._verifier.stay_behind(NICENESS)

    def close(self) -> None:
        """End the process that verifies: what is being loaded is not loaded, and nothing more."""
        self._verifier.close()

    def first(self, state: DesiredState | None) -> First:
        """Load the champion of the control topic; where it says nothing, or its champion is refused, the alias's.

        Raises:
            NoModel: neither can be loaded.
            RepositoryUnavailable, VerifierUnavailable: neither can be loaded now; `retriable`.
        """
        if state is None:
            return First(self._alias())
        try:
            champion = self.load(state.champion)
            return First(Serving(champion, state.champion.sha256, state.revision, state.revision))
        except Exception as error:
            if isinstance(error, ModelError) and error.retriable:
                raise  # no other than the one that all shall serve, because of a moment
            log.warning(
                "the control topic's champion is refused; beginning with the repository's",
                version=state.champion.version,
                reason=type(error).__name__,
            )
            return First(self._alias(), error)

    def _alias(self) -> Serving:
        settings, repository = self._settings, self._repository
        try:
            if not settings.names_repository:
                seed(repository)  # nobody chose a repository: the model that comes with flumen is a start
            version = repository.alias(settings.model_name, CHAMPION)
            if version is None:
                place = without_passwords(settings.model_repository)
                raise NoModel(
                    f"the model {settings.model_name!r} has no champion in {place}. "
                    "Make one with `flumen train`, or see `flumen models list`"
                )
            champion = self._load(version)
        except ModelError as error:
            if error.retriable:
                raise
            raise NoModel(f"there is no model to classify with: {error}") from error
        return Serving(champion, champion.manifest.sha256, NO_REVISION)

    def _load(
        self, version: int, sha256: str | None = None, throttle: Callable[[], None] = lambda: None
    ) -> OnnxClassifier:
        started = time.perf_counter()
        classifier = self._repository.load(
            self._settings.model_name,
            version,
            threads=self._settings.inference_threads,
            batch_sizes=(1, self._settings.max_batch_size),
            sha256=sha256,
            throttle=throttle,
        )
        self._metrics.load_seconds.observe(time.perf_counter() - started)
        return classifier
