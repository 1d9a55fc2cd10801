"""Experiments, impacts and drift: what is stored of them, with the plots of their reports."""
