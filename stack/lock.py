"""Write `artifacts.toml` anew: `python -m flumen.stack.lock`. For maintainers, after a change of a version below."""

from flumen.stack.artifacts import LOCK_FILE
from flumen.stores.artifacts.locking import write_lock_file

KAFKA, KUDU, SOLR = "4.4.0", "1.18.1", "9.10.0"

ROOTS = {
    # Kafka brings slf4j 1.7 and no binding; the simple one writes to standard error: the server's log.
    "kafka": (f"org.apache.kafka:kafka_2.13:{KAFKA}", "org.slf4j:slf4j-simple:1.7.36"),
    "kudu": (f"org.apache.kudu:kudu-binary:jar:linux-x86_64:{KUDU}",),
    "solr": (f"org.apache.solr:solr-core:{SOLR}", f"org.apache.solr:solr-test-framework:{SOLR}"),
}

if __name__ == "__main__":
    write_lock_file(LOCK_FILE, "flumen.stack.lock", ROOTS)
