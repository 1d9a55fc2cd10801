"""What several tests of Kudu ask for."""

import importlib.util
from typing import Any

import pytest

from flumen.stores.kudu import KuduOptions


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
