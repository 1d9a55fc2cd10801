"""The OpenAPI document of the JSON API: every question, every answer, every refusal."""

from flumen.console.dead_letters import api as dead_letters
from flumen.console.experiments import api as experiments
from flumen.console.images import schemas as images
from flumen.console.models import api as models
from flumen.console.now import schemas as now
from flumen.console.openapi_pieces import Schema, error_responses


def describe(root: str) -> Schema:
    """Return the OpenAPI document, version 3.1, of the API below this address."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "flumen console",
            "version": "1",
            "description": "What the console's pages show and do. Times are microseconds since 1970, UTC.",
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": error_responses(),
            "schemas": images.SCHEMAS,
        },
        "security": [{"token": []}],
        "paths": {
            **images.describe(root),
            **models.describe(root),
            **experiments.describe(root),
            **now.describe(root),
            **dead_letters.describe(root),
        },
    }
