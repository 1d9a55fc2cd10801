"""Where Kudu is, and how it is reached."""

from dataclasses import dataclass
from pathlib import Path

from flumen.stores.addresses import split_addresses
from flumen.stores.errors import StoreError

DEFAULT_PORT = 7051
DRIVERS = ("auto", "jvm", "native")
MIN_PARTITIONS = 2
MAX_PARTITIONS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class KuduOptions:
    """How to reach a Kudu cluster and what its tables are called.

    `masters` is `host:port`, several separated by commas. `table_prefix` goes before every table name.
    `driver` is `jvm`, `native` or `auto` (native where it is installed). `classpath` holds the jars of the Java
    client, for `jvm` alone; without any, those that are pinned are taken, and downloaded if need be. `partitions` and
    `replicas` count for tables that are created; without `partitions`, there are two for each tablet server.
    `timeout_s`, in seconds, bounds one request.

    Raises:
        StoreError: a value is out of bounds; the message names the field and what is allowed.
    """

    masters: str
    table_prefix: str = ""
    driver: str = "auto"
    classpath: tuple[Path, ...] = ()
    partitions: int | None = None
    replicas: int = 1
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise StoreError(f"Kudu option {problem}")

    @property
    def addresses(self) -> list[str]:
        """The masters, one `host:port` each."""
        return [address.strip() for address in self.masters.split(",") if address.strip()]

    def partitions_among(self, servers: int) -> int:
        """Return how many hash partitions a table gets on so many tablet servers.

        Each one costs every batch a request; two let a server write with two of its threads.
        """
        return self.partitions or max(MIN_PARTITIONS, min(2 * servers, MAX_PARTITIONS))

    @property
    def timeout_ms(self) -> int:
        """The time limit of one request, milliseconds."""
        return max(1, round(self.timeout_s * 1000))


def _problem(options: KuduOptions) -> str | None:
    try:
        split_addresses(options.masters, DEFAULT_PORT)
    except ValueError as error:
        return f"masters={options.masters!r}: {error}"
    if options.driver not in DRIVERS:
        return f"driver={options.driver!r}: allowed are {', '.join(DRIVERS)}"
    if options.partitions is not None and not MIN_PARTITIONS <= options.partitions <= MAX_PARTITIONS:
        return f"partitions={options.partitions}: allowed are {MIN_PARTITIONS} to {MAX_PARTITIONS}"
    if options.replicas < 1 or options.replicas % 2 == 0:
        return f"replicas={options.replicas}: allowed are odd numbers from 1"
    if not options.timeout_s > 0:
        return f"timeout_s={options.timeout_s}: allowed is more than 0 seconds"
    return None
