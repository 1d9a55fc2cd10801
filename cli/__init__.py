"""The `flumen` command: one thin file a verb group."""

import os
import signal
import sys

if os.getpid() == 1:
    # The system drops a SIGTERM that process 1, as in a container, does not listen to. Here it has its usual effect.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
