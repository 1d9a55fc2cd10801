"""Run `flumen` with its Python threads named to the system, which Python 3.11 does not do, so that CPU counts by name.

Each thread names itself when it starts, and that is all: nothing is measured in the process.
"""

import runpy
import sys
import threading
from pathlib import Path
from types import FrameType

_LONGEST = 15
"""Characters of a thread's name that Linux keeps."""


def _name_this(_frame: FrameType, _event: str, _of: object) -> None:
    sys.setprofile(None)
    name = threading.current_thread().name.encode()[:_LONGEST]
    Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_bytes(name)


if __name__ == "__main__":
    threading.setprofile(_name_this)
    sys.argv[0] = "flumen"
    runpy.run_module("flumen", run_name="__main__", alter_sys=False)
