"""Solr: one document an image, every field facetable. The index can be rebuilt from Kudu at any time."""

from flumen.stores.solr.answers import SolrAnswers
from flumen.stores.solr.migration import SolrMigration
from flumen.stores.solr.options import SolrOptions
from flumen.stores.solr.reader import SolrReader
from flumen.stores.solr.schema import CONFIGSET
from flumen.stores.solr.sink import SolrSink
from flumen.stores.store import Store

__all__ = ["STORE", "SolrAnswers", "SolrMigration", "SolrOptions", "SolrReader", "SolrSink"]

STORE = Store(
    name="solr",
    options=SolrOptions,
    make_sink=SolrSink,
    make_reader=SolrReader,
    make_answers=SolrAnswers,
    make_migration=SolrMigration,
    server_files=(CONFIGSET,),
)
