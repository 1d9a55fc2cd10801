"""Images: found in the index, seen one by one, corrected."""
