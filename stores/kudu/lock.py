"""Write `artifacts.toml` anew: `python -m flumen.stores.kudu.lock`. For maintainers, when a version changes."""

from flumen.stores.artifacts.locking import write_lock_file
from flumen.stores.kudu.jars import GROUP, LOCK_FILE

KUDU, JANINO = "1.18.1", "3.1.12"

# The client's errors reach Python as exceptions, so its log binding is the silent one. Janino names its companion's
# version in a way that jgo does not read, so it stands here.
ROOTS = (
    f"org.apache.kudu:kudu-client:{KUDU}",
    "org.slf4j:slf4j-nop:1.7.36",
    f"org.codehaus.janino:janino:{JANINO}",
    f"org.codehaus.janino:commons-compiler:{JANINO}",
)

if __name__ == "__main__":
    write_lock_file(LOCK_FILE, "flumen.stores.kudu.lock", {GROUP: ROOTS})
