"""SciPy's graphs, imported with the first image that is measured: 0.2 s, which a process that measures none saves."""

from typing import Any


def load() -> None:
    """Import them now, before there is an image whose time and memory this would count as."""
    import scipy.sparse.csgraph  # noqa: F401


def csr_array(*content: Any, **attributes: Any) -> Any:
    """Return `scipy.sparse.csr_array` of the same."""
    import scipy.sparse

    return scipy.sparse.csr_array(*content, **attributes)


def connected_components(graph: Any, *, directed: bool) -> tuple[int, Any]:
    """Return what `scipy.sparse.csgraph.connected_components` says: how many there are, and which each node is in."""
    import scipy.sparse.csgraph

    count, component_of = scipy.sparse.csgraph.connected_components(graph, directed=directed)
    return count, component_of
