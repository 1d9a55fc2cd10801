"""Pictures that look the same, by their perceptual hashes: one of a group stands for all of it."""

from flumen.replay.alike.groups import Group, groups

__all__ = ["Group", "groups"]
