"""`flumen models`: what the repository holds, and which model the fleet runs."""
