"""The web page over what exists: images are seen, searched, corrected; it stores nothing of its own."""
