"""Only statements that read are run, and none that could reach beyond the tables."""

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from flumen.replay.errors import BadQuery
from flumen.replay.sql.readonly import check_read_only


@pytest.fixture
def connection() -> Iterator[Any]:
    connection = duckdb.connect(":memory:")
    yield connection
    connection.close()


@pytest.mark.parametrize(
    "sql",
    [
        "select 1",
        "SELECT 1;",
        "with recursive r as (select 1 i union all select i + 1 from r where i < 5) from r",
        "with x as materialized (select 1 i) from x union from x",
        "select 'INSERT_QUERY_NODE' as type",
        "select 1 -- ; drop table images",
        "\n with x as (select 1) \n select * from x ;\n",
        "from images",
        "values (1)",
        "describe images",
        "show tables",
        "summarize images",
        "explain select 1",
        " EXPLAIN ANALYZE select * from images",
        "select * from images, range(3)",
        "select unnest([1, 2])",
    ],
)
def test_reading_is_run(connection: Any, sql: str) -> None:
    check_read_only(connection, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "",
        " ; ",
        "select 1; select 2",
        "insert into images values (1)",
        "with x as (select 1) insert into images select * from x",
        "with x as (insert into images values (1) returning *) from x",
        "with x as (delete from images returning *) select * from x",
        "with x as (update images set id = 1 returning *) from x",
        "with x as (copy images to '/tmp/images.csv') select 1",
        "select (with x as (copy images to '/tmp/images.csv') select 1)",
        "delete from images",
        "update images set id = 1",
        "create table x as select 1",
        "drop table images",
        "copy images to '/tmp/images.csv'",
        "attach '/tmp/x.db'",
        "install httpfs",
        "load httpfs",
        "set threads = 4",
        "pragma table_info('images')",
        "call range(3)",
        "explain delete from images",
        "select * from read_csv('/etc/passwd')",
        "select * from READ_TEXT('/etc/passwd')",
        "select * from glob('/*')",
        "select (select count(*) from read_blob('/etc/passwd'))",
        "with x as (from read_text('/etc/passwd')) from x",
        "select 1 where exists (from read_text('/etc/passwd'))",
        "explain from read_text('/etc/passwd')",
        "/* */ explain analyze from read_text('/etc/passwd')",
        "describe from read_text('/etc/passwd')",
        "from query('select 1')",
        "from enable_logging(storage = 'file', storage_path = '/tmp/log')",
        "from duckdb_secrets()",
    ],
)
def test_everything_else_is_refused(connection: Any, sql: str) -> None:
    with pytest.raises(BadQuery):
        check_read_only(connection, sql)


def test_a_refusal_says_what_is_allowed(connection: Any) -> None:
    with pytest.raises(BadQuery, match="DELETE is refused: only SELECT"):
        check_read_only(connection, "delete from images")
    with pytest.raises(BadQuery, match=r"'read_csv' is refused.*range"):
        check_read_only(connection, "from read_csv('/etc/passwd')")
