"""What flumen is measured against: the same images into the same tables and index, without flumen's worker."""
