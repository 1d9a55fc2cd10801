"""Solr: one document an image, every field facetable. The index can be rebuilt from Kudu at any time."""

from flumen.stores.solr.answers import SolrAnswers
from flumen.stores.solr.migration import SolrMigration
from flumen.stores.solr.options import SolrOptions
from flumen.stores.solr.reader import SolrReader
from flumen.stores.solr.sink import SolrSink

__all__ = ["SolrAnswers", "SolrMigration", "SolrOptions", "SolrReader", "SolrSink"]
