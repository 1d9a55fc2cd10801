"""The settings of the live path: how images are taken, how they are decoded, and what answers over HTTP."""

from dataclasses import fields

from pydantic import BaseModel, Field

from flumen.interceptor import DEFAULT_CHAIN, Limits
from flumen.streams.wire import Identity

_LIMITS = Limits()


class ReadingSettings(BaseModel):
    """How many images are taken at once, and how long a worker may take over them."""

    max_batch_size: int = Field(1000, ge=1, le=100_000, description="Images a micro-batch.")
    max_batch_time_ms: int = Field(
        50,
        ge=1,
        le=60_000,
        description="Milliseconds that a micro-batch fills at most while others are in hand; while none is, what has "
        "come goes at once, 30 ms after the last one at the earliest.",
    )
    max_in_flight_bytes: int = Field(
        256 * 1024 * 1024, ge=1024 * 1024, description="Bytes of messages taken and not yet acknowledged."
    )
    max_poll_interval_s: float = Field(
        300, ge=10, le=86_400, description="Seconds without a poll after which the group expels a worker."
    )
    stalled_after_s: float = Field(
        120,
        gt=0,
        description="Seconds without progress until /health says so; twice that, and the worker stops. "
        "More than the stores' timeouts.",
    )
    stop_timeout_s: float = Field(
        30, gt=0, le=600, description="Seconds a stopping worker may take to finish what it holds."
    )


class DecodingSettings(BaseModel):
    """What is done with an image, what tells it from another, and what it may be and take."""

    interceptors: tuple[str, ...] = Field(DEFAULT_CHAIN, min_length=1, description="Names, in order.")
    image_id: Identity = Field(
        "event", description="What tells images apart: a CloudEvent's source and id, the key, or the content."
    )
    interception_processes: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Processes in which images are decoded and measured; as many as cores, 16 at most, unless set.",
    )
    max_image_bytes: int = Field(
        _LIMITS.max_image_bytes, ge=1, le=900 * 1024 * 1024, description="Bytes of one image."
    )
    max_image_pixels: int = Field(
        _LIMITS.max_image_pixels, ge=1, description="Width x height of one image, in pixels."
    )
    image_formats: frozenset[str] = Field(
        _LIMITS.formats, min_length=1, description="Formats to decode, by Pillow's names."
    )
    max_image_frames: int = Field(
        _LIMITS.max_image_frames,
        ge=1,
        description="Frames of an animation, or pages; the first is classified.",
    )
    max_decode_memory_bytes: int = Field(
        _LIMITS.max_decode_memory_bytes,
        ge=32 * 1024 * 1024,
        description="Bytes of memory to decode one image in, where it is not small.",
    )
    max_decode_time_s: float = Field(
        _LIMITS.max_decode_time_s, gt=0, le=600, description="Seconds of processor time, likewise."
    )

    def limits(self) -> Limits:
        """Return what an image may be, and what decoding one may take."""
        same = {entry.name: getattr(self, entry.name) for entry in fields(Limits) if entry.name != "formats"}
        return Limits(formats=self.image_formats, **same)

    @property
    def max_message_bytes(self) -> int:
        """The largest message: an image, and 1 MiB for its key and its headers."""
        return self.max_image_bytes + 1_048_576

    @property
    def max_dead_letter_bytes(self) -> int:
        """The largest dead letter: a message, and its reason."""
        return self.max_message_bytes + 1_048_576


class DriftSettings(BaseModel):
    """Whether a worker watches if what arrives stays as it was, and how sensitively."""

    drift_watch: bool = Field(True, description="Watch whether what arrives stays as it was.")
    drift_reference_images: int = Field(
        5000,
        ge=500,
        le=100_000,
        description="Images of a worker, from the first that a model answers, that later ones are compared with.",
    )
    drift_allowance: float = Field(
        0.25,
        ge=0.05,
        le=2,
        description="Standard deviations that a mean may move by without being told; twice that is found soonest.",
    )
    drift_false_alarm_images: int = Field(
        100_000_000,
        ge=10_000,
        le=10**15,
        description="Images, in the mean, between two false alarms of a worker, where images are independent.",
    )


class WebSettings(BaseModel):
    """Where a worker answers over HTTP."""

    http_port: int = Field(
        0, ge=0, le=65535, description="Port of /metrics, /live, /ready, /health; 0 is off."
    )
    http_host: str = Field(
        "127.0.0.1", min_length=1, description="Address to answer on; :: is all, IPv4 too."
    )
    http_max_connections: int = Field(
        32, ge=1, le=1000, description="At once; one more, and the oldest goes."
    )
    http_timeout_s: float = Field(10, gt=0, le=600, description="Seconds for one connection over HTTP.")
