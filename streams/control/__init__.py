"""Which model classifies, told to a fleet of workers through a compacted topic. docs/control.md is its contract."""
