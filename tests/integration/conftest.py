"""What several tests of the stores ask for."""

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import loopback
import pytest

from flumen.stores.artifacts.folders import cache_root
from flumen.stores.kudu import KuduOptions
from flumen.stores.solr import SolrOptions
from flumen.stores.solr.schema import CONFIGSET


@pytest.fixture(params=["jvm", "native"])
def kudu_options(
    request: pytest.FixtureRequest,
    flumen_stack: Any,
    flumen_names: Any,
) -> KuduOptions:
    """Every driver in turn. One that is not installed is skipped and named."""
    if request.param == "native" and importlib.util.find_spec("kudu") is None:
        pytest.skip("the native Kudu driver is not installed: docs/kudu.md says how")
    return KuduOptions(
        masters=flumen_stack.kudu_masters,
        table_prefix=flumen_names.kudu_prefix,
        driver=request.param,
        partitions=2,
    )


@pytest.fixture(scope="session")
def console_settings(
    flumen_stack: Any, flumen_models_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """Settings of stores that have the images of `console_served`."""
    from console_served import stored
    from own_settings import own_settings

    from flumen.streams.kafka.topics import ensure_topics

    with own_settings(flumen_stack, flumen_models_root, tmp_path_factory.mktemp("console")) as settings:
        ensure_topics(settings)
        stored(settings)
        yield settings


@pytest.fixture
def own_cache(tmp_path: Path) -> Path:
    """A cache of the test's own, but for what was downloaded: that is everybody's."""
    own = tmp_path / "cache"
    own.mkdir()
    downloaded = cache_root() / "artifacts"
    downloaded.mkdir(parents=True, exist_ok=True)
    (own / "artifacts").symlink_to(downloaded)
    return own


@pytest.fixture
def older_index(flumen_stack: Any, flumen_names: Any) -> Iterator[Callable[..., SolrOptions]]:
    """Options of an index whose config set is older: its schema lacks the lines that hold one of these words."""
    system = loopback.get(f"{flumen_stack.solr_url}/admin/info/system", timeout=60).json()
    folder = Path(system["solr_home"]) / "configsets" / flumen_names.solr_core
    if not folder.parent.is_dir():
        pytest.skip("Solr's disk is not this machine's")

    def made(*gone: str) -> SolrOptions:
        shutil.copytree(CONFIGSET, folder)
        schema = folder / "conf" / "schema.xml"
        lines = schema.read_text().splitlines(keepends=True)
        schema.write_text("".join(line for line in lines if not any(word in line for word in gone)))
        return SolrOptions(url=flumen_stack.solr_url, core=flumen_names.solr_core, config_set=folder.name)

    yield made
    shutil.rmtree(folder)
