"""Models: what the repository holds of them, which the fleet runs, and the swaps that people ask for."""
