"""Which model classifies, told to a fleet of workers through a compacted topic. docs/swapping.md is its contract."""
