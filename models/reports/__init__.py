"""Reports of models as pages: one HTML file each, which opens without a network, and its plots as PNG."""
