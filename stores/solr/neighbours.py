"""Finding images that a model sees near one: by vectors in the index, a graph of which Lucene keeps (HNSW).

Y. Malkov, D. Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small
World graphs", 2018. Source of the semantics: Solr Reference Guide 9, "Dense Vector Search".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flumen.stores.errors import SchemaMismatch
from flumen.stores.solr.schema import VECTORS, find_field

_LOOKED_AT = 100
"""Candidates of each part of the index, at least: with ten, one of twenty nearest was missed."""


def vector_of(document: Mapping[str, Any]) -> tuple[str, Sequence[float]] | None:
    """Return the field of vectors that a document has, and the vector; None where it has none."""
    return next(((each.name, document[each.name]) for each in VECTORS if document.get(each.name)), None)


def neighbours_of(
    document: Mapping[str, Any], name: str, vector: Sequence[float], query: str, rows: int
) -> dict[str, Any]:
    """Return Solr's parameters for the documents nearest to one, by the same version of the same model.

    All filters come before the search, so that it looks for as many as are asked for among what they leave.
    """
    version = document["model_version"]
    return {
        "q": f"{{!knn f={name} topK={max(rows, _LOOKED_AT)}}}[{','.join(map(repr, vector))}]",
        "fq": [
            "{!cache=false v=$wanted}",
            "{!term f=model v=$model}",
            f"model_version:[{version} TO {version}]",
            "{!cache=false}*:* -{!term f=id v=$asked}",
        ],
        "wanted": query,
        "model": document["model"],
        "asked": document["id"],
        "fl": "*,score",
        "sort": "score desc, id asc",
        "rows": rows,
    }


def check_vectors(schema: Mapping[str, Any], index_url: str) -> None:
    """Look whether an index has vectors at all; `schema` is as Solr's Schema API describes it.

    Raises:
        SchemaMismatch: it has none.
    """
    if any(find_field(schema, each.name) is None for each in VECTORS):
        raise SchemaMismatch(
            f"the Solr index {index_url} has no embeddings yet. Run `flumen tables migrate` and start the workers "
            "again: images that a model with an embedding classifies from then on have one"
        )
