"""The settings of the models: where they are, which one classifies, and what loading one may take."""

from pathlib import Path

from pydantic import BaseModel, Field

from flumen.models.limits import DEFAULT_LIMITS, VerifyLimits
from flumen.models.names import NAME_PATTERN
from flumen.models.urls import SecretUrl


class ModelSettings(BaseModel):
    """Where the models are, which one classifies, and what loading and running it may take."""

    models_root: SecretUrl | None = Field(
        None, description="Folder or fsspec URL of the model repository; `<home>/models` if unset."
    )
    models_root_file: Path | None = Field(
        None, description="File that holds models_root, where that carries a password."
    )
    model_name: str = Field(
        "mnist",
        pattern=NAME_PATTERN,
        json_schema_extra={"allowed": "1 to 100 small letters, digits, _ and -, the first a letter or digit"},
        description="The model that classifies.",
    )
    max_model_load_time_s: float = Field(
        DEFAULT_LIMITS.time_s, gt=0, le=86_400, description="Seconds of processor time to verify a model in."
    )
    max_model_load_memory_bytes: int = Field(
        DEFAULT_LIMITS.memory_bytes,
        ge=64 * 1024 * 1024,
        description="Bytes of memory to verify a model in, in the helper process that does so, beyond its file.",
    )
    require_impact: bool = Field(
        False, description="Refuse to activate a version whose `flumen impact` is missing, old or bad."
    )
    impact_max_age_h: float = Field(
        168.0, gt=0, le=87_600, description="Hours that an impact counts for, from when its images were read."
    )
    impact_max_newer_h: float = Field(
        24.0,
        ge=0,
        le=87_600,
        description="Hours that stored images may be newer than all that an impact knows.",
    )
    impact_min_agreement: float = Field(
        0.0, ge=0, le=1, description="Share of the images that both models have to answer alike."
    )
    impact_min_images: int = Field(
        1000, ge=1, description="Images that an impact has to be of; all, where there are fewer."
    )
    inference_threads: int = Field(1, ge=1, le=256, description="Threads of ONNX Runtime for one batch.")

    @property
    def names_repository(self) -> bool:
        """Whether somebody chose the model repository."""
        return self.models_root is not None or self.models_root_file is not None

    def verify_limits(self) -> VerifyLimits:
        """Return what verifying one model may take."""
        return VerifyLimits(self.max_model_load_time_s, self.max_model_load_memory_bytes)
