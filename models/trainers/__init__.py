"""Learning: what a trainer is, those that come with flumen, and from a trainer to a model that a repository takes."""
