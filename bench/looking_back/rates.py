"""How fast stored images are looked at, by what reading them alone takes, in turns."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from urllib.parse import urlencode

from bench.looking_back.reclassifying import READ, bare, by_hand, reclassified
from bench.looking_back.stored import ANSWERED_BY, DAYS, columns_of_chain
from bench.looking_back.turns import Turns, take_turns
from flumen.interceptor import Kind
from flumen.replay.audit import Audit
from flumen.replay.drift import Reference, Scope, Span, find_drift, scan
from flumen.stores.kudu import KuduReader, Predicate
from flumen.stores.solr import SolrReader
from flumen.stores.solr.documents import SolrDocuments
from flumen.stores.solr.realtime import FORM
from flumen.stores.solr.search import Search
from flumen.stores.solr.server import SolrServer
from flumen.streams.settings import Settings

RECLASSIFY, BY_HAND, SCAN = "reclassify", "by hand", "scan of its columns"
AUDIT, KUDU, SOLR = "audit", "scan of Kudu", "scan of Solr"
DRIFT, DRIFT_SCAN = "drift", "scan of its columns"

_A_PAGE = 1000
_DAY_US = 86_400_000_000
_LIKE_ROWS = 10
_WITHIN = 7


def reclassify_turns(settings: Settings, rows: int, repeats: int) -> Turns:
    """Put all images to another version, by the command's own parts and by hand."""
    ways = {
        RECLASSIFY: lambda: reclassified(settings),
        BY_HAND: lambda: by_hand(settings),
        SCAN: lambda: bare(settings, READ, 2),
    }
    return take_turns(rows, ways, repeats)


def audit_turns(settings: Settings, rows: int, repeats: int) -> Turns:
    """Compare all documents with their rows; and read the same columns of all rows, and all documents."""
    columns = [column for column in columns_of_chain(settings) if column.kind is not Kind.BINARY]
    read = tuple(dict.fromkeys(["id", *(column.name for column in columns), "chunks", "view_chunks"]))

    def audit() -> int:
        with (
            closing(KuduReader(settings.kudu_options())) as tables,
            closing(SolrDocuments(settings.solr_options(), columns)) as documents,
        ):
            documents.connect()
            report = Audit(tables, documents, columns).run()
        if report.left or report.moving:
            raise SystemExit(f"audit: {report.left:,} differences where there are none: {report}")
        return report.images

    ways: Mapping[str, Callable[[], int]] = {
        AUDIT: audit,
        KUDU: lambda: bare(settings, read, 1),
        SOLR: lambda: _all_documents(settings),
    }
    return take_turns(rows, ways, repeats)


def drift_turns(settings: Settings, rows: int, repeats: int) -> Turns:
    """Compare the days with the first ones; and read the same columns of the same rows."""
    now = time.time_ns() // 1000
    first = Span(now - (DAYS + 1) * _DAY_US, now - (DAYS - 2) * _DAY_US)
    reference = Reference("the first days", first)
    scope = Scope(model=settings.model_name, version=ANSWERED_BY, width_us=_DAY_US)

    def drift() -> int:
        with closing(KuduReader(settings.kudu_options())) as tables:
            counting = scan(tables, scope, reference)
        return find_drift(counting, scope, reference).rows

    with closing(_Noting(settings.kudu_options())) as tables:
        scan(tables, scope, reference)
        read = tables.read
    by_model = [
        Predicate("model", "=", (scope.model,)),
        Predicate("model_version", "=", (scope.version,)),
    ]
    ways = {DRIFT: drift, DRIFT_SCAN: lambda: bare(settings, read, 2, *by_model)}
    return take_turns(rows, ways, repeats)


def alike_ms(settings: Settings, rows: int, count: int) -> list[float]:
    """Return the milliseconds that each of so many questions for images like one takes, the first two left out."""
    drawn = random.Random(1)
    found = []
    with closing(SolrReader(settings.solr_options())) as reader:
        for _ in range(count + 2):
            started = time.perf_counter()
            reader.find_alike(f"digit-{drawn.randrange(rows):08d}", Search(rows=_LIKE_ROWS), _WITHIN)
            found.append((time.perf_counter() - started) * 1000)
    return found[2:]


class _Noting(KuduReader):
    """Notes which columns a scan reads."""

    read: tuple[str, ...] = ()

    def scan_tokens(
        self,
        table: str,
        columns: Sequence[str],
        predicates: Sequence[Predicate] = (),
        snapshot_us: int | None = None,
    ) -> Sequence[bytes]:
        self.read = tuple(columns)
        return super().scan_tokens(table, columns, predicates, snapshot_us)


def _all_documents(settings: Settings) -> int:
    """Read all fields of all documents, page by page, as one would by hand."""
    server = SolrServer(settings.solr_options())
    with closing(server):
        seen, mark, following = 0, "", "*"
        while mark != following:
            mark = following
            asked = {"q": "*:*", "fl": "*", "sort": "id asc", "rows": _A_PAGE, "cursorMark": mark}
            answer = server.answer(f"{server.index_url}/select", None, urlencode(asked).encode(), FORM)
            following = answer["nextCursorMark"]
            seen += len(answer["response"]["docs"])
    return seen
