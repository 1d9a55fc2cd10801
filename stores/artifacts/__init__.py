"""Jars that a store's client or a server needs: pinned in a lock file, fetched once, verified at each use.

The one package of ours that `stack` imports, for its servers' jars. It imports nothing of ours but the errors.
"""

from flumen.stores.artifacts.cache import Artifact, missing, pinned, resolve
from flumen.stores.artifacts.progress import Progress, silent
from flumen.stores.errors import ArtifactError, FolderUnusable

__all__ = [
    "Artifact",
    "ArtifactError",
    "FolderUnusable",
    "Progress",
    "missing",
    "pinned",
    "resolve",
    "silent",
]
