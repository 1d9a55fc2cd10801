"""The images that Kudu holds, as pixels: chosen by a condition, read in parallel, as they were at one moment."""

from flumen.replay.images.kudu_images import KuduImages, Selection

__all__ = ["KuduImages", "Selection"]
