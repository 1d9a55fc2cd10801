"""Write `artifacts.toml` anew: `python -m flumen.stores.kudu.lock`. For maintainers, when a version changes."""

from flumen.stores.artifacts.locking import write_lock_file
from flumen.stores.kudu.jars import ARROW_GROUP, GROUP, LOCK_FILE, SPARK_GROUP

KUDU, JANINO, ARROW, FLATBUFFERS, COLLECTIONS = "1.18.1", "3.1.12", "15.0.2", "23.5.26", "11.1.0"

# The client's errors reach Python as exceptions, so its log binding is the silent one. Janino names its companion's
# version in a way that jgo does not read, so it stands here.
ROOTS = (
    f"org.apache.kudu:kudu-client:{KUDU}",
    "org.slf4j:slf4j-nop:1.7.36",
    f"org.codehaus.janino:janino:{JANINO}",
    f"org.codehaus.janino:commons-compiler:{JANINO}",
)
# Kudu's client is in it. What it names, all of Spark, Spark has.
SPARK_ROOTS = (f"org.apache.kudu:kudu-spark3_2.12:{KUDU}",)

# Those of Spark 3.5 (Arrow 12) reach for what Java 21 has not any more. Jackson and the rest that they name, Spark has.
ARROW_ROOTS = (
    *(
        f"org.apache.arrow:arrow-{part}:{ARROW}"
        for part in ("vector", "format", "memory-core", "memory-netty")
    ),
    f"com.google.flatbuffers:flatbuffers-java:{FLATBUFFERS}",
    f"org.eclipse.collections:eclipse-collections:{COLLECTIONS}",
    f"org.eclipse.collections:eclipse-collections-api:{COLLECTIONS}",
)

if __name__ == "__main__":
    groups = {GROUP: ROOTS, SPARK_GROUP: SPARK_ROOTS, ARROW_GROUP: ARROW_ROOTS}
    write_lock_file(LOCK_FILE, "flumen.stores.kudu.lock", groups, alone=[SPARK_GROUP, ARROW_GROUP])
