"""Solr: one document an image, every field facetable. The index can be rebuilt from Kudu at any time."""

from typing import TYPE_CHECKING

from flumen.stores.later import imported_when_used, later
from flumen.stores.solr.options import SolrOptions
from flumen.stores.solr.schema import CONFIGSET
from flumen.stores.store import Store

if TYPE_CHECKING:
    from flumen.stores.solr.answers import SolrAnswers
    from flumen.stores.solr.hashes import SolrHashes
    from flumen.stores.solr.labels import SolrLabels
    from flumen.stores.solr.migration import SolrMigration
    from flumen.stores.solr.models import SolrModelIndex
    from flumen.stores.solr.reader import SolrReader
    from flumen.stores.solr.sink import SolrSink

__all__ = [
    "STORE",
    "SolrAnswers",
    "SolrHashes",
    "SolrLabels",
    "SolrMigration",
    "SolrModelIndex",
    "SolrOptions",
    "SolrReader",
    "SolrSink",
]

__getattr__ = imported_when_used(
    __name__,
    {
        "answers": ["SolrAnswers"],
        "hashes": ["SolrHashes"],
        "labels": ["SolrLabels"],
        "migration": ["SolrMigration"],
        "models": ["SolrModelIndex"],
        "reader": ["SolrReader"],
        "sink": ["SolrSink"],
    },
)

STORE = Store(
    name="solr",
    options=SolrOptions,
    make_sink=later(f"{__name__}.sink", "SolrSink"),
    make_reader=later(f"{__name__}.reader", "SolrReader"),
    make_answers=later(f"{__name__}.answers", "SolrAnswers"),
    make_migration=later(f"{__name__}.migration", "SolrMigration"),
    make_labels=later(f"{__name__}.labels", "SolrLabels"),
    server_files=(CONFIGSET,),
)
