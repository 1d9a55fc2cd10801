"""The live path: from a message in the topic of images to both stores, and the worker around it."""
