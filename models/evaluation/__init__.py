"""How good a classifier is on images whose labels are known."""
