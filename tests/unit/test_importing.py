"""What is imported late is there when it is asked for, and importing much leaves the garbage collector as it was."""

import gc
from contextlib import suppress

import pytest

from flumen.stores import kudu, solr
from flumen.streams.importing import without_collections


@pytest.mark.parametrize("package", [kudu, solr], ids=lambda package: str(package.__name__))
def test_all_that_a_store_offers_is_there(package: object) -> None:
    names = package.__all__  # type: ignore[attr-defined]
    assert [name for name in names if getattr(package, name, None) is None] == []
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        package.Nothing  # type: ignore[attr-defined]  # noqa: B018


def test_collections_go_on_behind_what_is_imported() -> None:
    assert gc.isenabled()
    with suppress(ImportError), without_collections():
        with without_collections():
            assert not gc.isenabled()
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
