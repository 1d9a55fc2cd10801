"""The live path, and the only package that knows Faust and Kafka."""
