"""Real Kafka, Kudu and Solr on this machine, from packages or through Docker. Imports nothing of ours."""
