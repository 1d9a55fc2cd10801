"""Data sets, trainers, evaluations, experiments and their reports, as commands."""
