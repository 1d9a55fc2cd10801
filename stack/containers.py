"""A stack in containers for one test session: `docker-compose.yml`, run by testcontainers."""

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flumen.stack.docker import COMPOSE_FILE, DEFAULT_PORTS, endpoints
from flumen.stack.layout import Endpoints
from flumen.stack.ports import choose


@contextmanager
def containers(configset: Path) -> Iterator[Endpoints]:
    """Start the servers under a name and ports of their own; remove them and their volumes at the end."""
    from testcontainers.compose import DockerCompose

    published = choose(DEFAULT_PORTS, recorded={}, kept=())
    settings = {
        "COMPOSE_PROJECT_NAME": f"flumen-test-{uuid.uuid4().hex[:8]}",
        "FLUMEN_SOLR_CONFIGSET": str(configset),
        **{name: str(port) for name, port in published.items()},
    }
    with tempfile.NamedTemporaryFile("w", suffix=".env", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in settings.items())
        file.flush()
        with DockerCompose(COMPOSE_FILE.parent, compose_file_name=COMPOSE_FILE.name, env_file=file.name):
            yield endpoints(published)
