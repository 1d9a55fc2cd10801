"""The settings of Kudu: the fields of its options, each with `kudu_` before it."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from flumen.stores.addresses import split_addresses
from flumen.stores.kudu.options import DEFAULT_PORT, MAX_PARTITIONS, MIN_PARTITIONS


def _check_masters(addresses: str) -> str:
    split_addresses(addresses, DEFAULT_PORT)
    return addresses


def _check_odd(replicas: int) -> int:
    if replicas % 2 == 0:
        raise ValueError("Kudu's replicas vote, and so their number is odd: 1, 3, 5 or 7")
    return replicas


Masters = Annotated[str, AfterValidator(_check_masters)]
OddCount = Annotated[int, AfterValidator(_check_odd)]


class KuduSettings(BaseModel):
    """Where Kudu is, by which client it is reached, and what its tables are called and made of."""

    kudu_masters: Masters = Field("127.0.0.1:7051", description="Masters, host:port[,host:port...].")
    kudu_driver: Literal["auto", "jvm", "native"] = Field(
        "auto", description="Kudu's client: Java's, kudu-python, or that where it is installed."
    )
    kudu_table_prefix: str = Field(
        "",
        pattern=r"^[a-zA-Z0-9._:-]*$",
        json_schema_extra={"allowed": "letters, digits, dots, colons, _ and -, or nothing"},
        description="Put before each table's name.",
    )
    kudu_partitions: int | None = Field(
        None,
        ge=MIN_PARTITIONS,
        le=MAX_PARTITIONS,
        description="Hash partitions of a table to be created; if not set, two for each tablet server.",
    )
    kudu_replicas: OddCount = Field(1, ge=1, le=7, description="Replicas of a table to be created; odd.")
    kudu_timeout_s: float = Field(30, gt=0, le=600, description="Seconds for one operation.")
