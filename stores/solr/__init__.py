"""Solr: one document an image, every field facetable. The index can be rebuilt from Kudu at any time."""

from stores.solr.answers import SolrAnswers
from stores.solr.migration import SolrMigration
from stores.solr.options import SolrOptions
from stores.solr.reader import SolrReader
from stores.solr.sink import SolrSink

__all__ = ["SolrAnswers", "SolrMigration", "SolrOptions", "SolrReader", "SolrSink"]
