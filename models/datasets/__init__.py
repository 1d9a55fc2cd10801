"""Labelled images to learn from and to test on, from wherever they are."""
