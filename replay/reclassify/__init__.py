"""Putting stored images to another model: jobs that several processes share, and that go on after a crash."""
