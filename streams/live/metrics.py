"""What Prometheus sees: seconds and counts, prefix `flumen_`. One registry a worker."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from flumen.interceptor import Classifier
from flumen.streams.control.status_headers import Buckets

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_MODEL = ("model_name", "model_version")


class Metrics:
    """The worker's counters, gauges and histograms. `images` over `batches` is the mean batch."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self._active: tuple[str, str] | None = None

        def seconds(name: str, doc: str, *labels: str) -> Histogram:
            return Histogram(f"flumen_{name}_seconds", doc, labels, buckets=_SECONDS, registry=registry)

        self.images = Counter("flumen_images", "Images in every store.", _MODEL, registry=registry)
        self.batches = Counter("flumen_batches", "Micro-batches done.", _MODEL, registry=registry)
        self.images_replaced = Counter(
            "flumen_images_replaced",
            "Images that replaced another one of their id, of other bytes, within a minute.",
            registry=registry,
        )
        self.deleted_images = Counter(
            "flumen_deleted_images",
            "Images that came, were deleted before, and are kept out of the stores.",
            registry=registry,
        )
        self.corrections_seconds = seconds("corrections", "One look at the corrections for a micro-batch.")
        self.record_errors = Counter(
            "flumen_record_errors", "Images refused.", ("stage", "class"), registry=registry
        )
        self.dead_letters = Counter("flumen_dead_letters", "Acknowledged dead letters.", registry=registry)
        self.retries = Counter(
            "flumen_retries", "Calls that a server did not answer.", ("server",), registry=registry
        )
        self.lag = Gauge("flumen_consumer_lag", "Messages not yet taken.", registry=registry)
        self.in_flight = Gauge(
            "flumen_in_flight_bytes", "Bytes taken and not yet acknowledged.", registry=registry
        )
        self.active_model = Gauge("flumen_active_model_info", "The champion.", _MODEL, registry=registry)
        self.swaps = Counter("flumen_model_swaps", "Champions taken in place of others.", registry=registry)
        self.models_refused = Counter(
            "flumen_models_refused", "Models that were not loaded.", ("class",), registry=registry
        )
        self.shadow_images = Counter(
            "flumen_shadow_images", "Images a challenger answered.", _MODEL, registry=registry
        )
        self.shadow_disagreements = Counter(
            "flumen_shadow_disagreements", "Of these, answered otherwise.", _MODEL, registry=registry
        )
        self.shadow_dropped = Counter(
            "flumen_shadow_dropped",
            "Images a challenger was to answer and did not: `behind`, or an error's class.",
            ("reason",),
            registry=registry,
        )
        self.processes_restarted = Counter(
            "flumen_processes_restarted",
            "Processes of interception that ended and were started anew.",
            registry=registry,
        )
        self.drift_score = Gauge(
            "flumen_drift_score",
            "How far what arrives is from the reference, in multiples of the threshold.",
            ("statistic",),
            registry=registry,
        )
        self.drift_alarms = Counter(
            "flumen_drift_alarms", "Times that what arrives was no more as it was.", registry=registry
        )
        self.queue_seconds = seconds("queue", "From taken to intercepted.")
        self.stage_seconds = seconds("stage", "One interceptor, one micro-batch.", "stage")
        self.sink_seconds = seconds("sink", "One write of one micro-batch.", "store")
        self.end_to_end_seconds = seconds(
            "end_to_end", "From Kafka's timestamp of a batch's oldest image to done."
        )
        self.shadow_seconds = seconds("shadow", "A challenger's answers to a micro-batch's sample, stored.")
        self.load_seconds = seconds("model_load", "Loading, verifying and warming up a model.")

    def stored(self) -> float:
        """Return how many images were stored so far."""
        samples = (sample for metric in self.images.collect() for sample in metric.samples)
        return sum(sample.value for sample in samples if sample.name == "flumen_images_total")

    def end_to_end(self) -> Buckets:
        """Return the histogram of the seconds from produce to both stores."""
        samples = (sample for metric in self.end_to_end_seconds.collect() for sample in metric.samples)
        return tuple(
            (float(sample.labels["le"]), int(sample.value))
            for sample in samples
            if sample.name.endswith("_bucket")
        )

    def serve(self, model: Classifier) -> None:
        """Let this be the one active model. Who asks meanwhile may see two, and never none."""
        former, self._active = self._active, (model.name, str(model.version))
        self.active_model.labels(*self._active).set(1)
        if former is not None and former != self._active:
            self.active_model.remove(*former)
