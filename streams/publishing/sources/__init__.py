"""What `flumen produce` publishes: images from folders, files, zip and tar archives, and IDX files.

`find_files` walks the paths, `count_images` counts without reading, `read_images` reads one image at a time.
"""

from flumen.streams.publishing.sources.files import FoundFile, find_files
from flumen.streams.publishing.sources.images import SourceOptions, count_images, read_images

__all__ = ["FoundFile", "SourceOptions", "count_images", "find_files", "read_images"]
