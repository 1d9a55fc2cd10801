"""The errors of the stack.

StackError
├── ArtifactError        an artifact cannot be downloaded, or is not the one that was pinned
├── FolderUnusable       FLUMEN_HOME or FLUMEN_CACHE cannot be read or written
├── ServerFailed         a server died at start, did not become ready, or did not stop
├── MachineUnfit         this machine lacks something the servers need
└── DockerUnavailable    no Docker engine or no Compose plugin answers, or Compose failed
"""


class StackError(Exception):
    """Base of all errors of this package."""


class ArtifactError(StackError):
    """An artifact cannot be downloaded, or is not the one that was pinned."""


class FolderUnusable(StackError):
    """`FLUMEN_HOME` or `FLUMEN_CACHE` cannot be read or written; the message names the folder and the setting."""


class ServerFailed(StackError):
    """A server died at start, did not become ready, or did not stop."""


class MachineUnfit(StackError):
    """The machine lacks something the servers need."""


class DockerUnavailable(StackError):
    """No Docker engine or no Compose plugin answers, or Compose failed."""
