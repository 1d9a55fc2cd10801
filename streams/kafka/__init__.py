"""Kafka's client: the only place that knows it."""
