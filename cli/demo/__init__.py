"""`flumen demo`: what it starts, publishes and shows."""
