"""The errors of the stack.

StackError
├── ServerFailed         a server died at start, did not become ready, or did not stop
├── MachineUnfit         this machine lacks something the servers need
└── DockerUnavailable    no Docker engine or no Compose plugin answers, or Compose failed

ArtifactError and FolderUnusable, of downloads and folders, stand in `flumen.stores.errors`; they go through unchanged.
"""


class StackError(Exception):
    """Base of all errors of this package."""


class ServerFailed(StackError):
    """A server died at start, did not become ready, or did not stop."""


class MachineUnfit(StackError):
    """The machine lacks something the servers need."""


class DockerUnavailable(StackError):
    """No Docker engine or no Compose plugin answers, or Compose failed."""
