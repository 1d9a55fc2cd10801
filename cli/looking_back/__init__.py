"""The commands that look back at what is stored."""
