"""A worker under control: what it follows, prepares, runs, and says of itself."""
