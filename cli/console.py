"""`flumen console`: the web page, and the tokens of those who may come in."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flumen.cli.actor import actor
from flumen.cli.looking_back.correcting import correcting, make_searchable, say
from flumen.cli.models.for_console import make_models
from flumen.cli.output import AsJson, print_rows
from flumen.streams.errors import BadSetting
from flumen.streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from flumen.console.access.gate import Gate
    from flumen.console.live import Live
    from flumen.console.stores import Stores

app = typer.Typer(
    help="Serve a web page: see, search and correct the images, and swap models. Without a subcommand, start it.",
    invoke_without_command=True,
)

_READERS = 4
"""Of each store: so many are asked at once."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_WAITING_CONNECTIONS = 1024


@app.callback()
def serve(context: typer.Context) -> None:
    """Serve a web page: see, search and correct the images, and swap models. Without a subcommand, start it."""
    if context.invoked_subcommand is not None:
        return
    settings = load_settings()
    gate, link = _gate(settings)
    with _listening(settings) as listening:
        run = _server(settings, gate, listening)
        address = _address(listening)
        say(f"The console is at {address}{link}")
        if link:
            say(
                "Whoever has this address may change what is stored: it is for you. Ctrl-C stops the console."
            )
        else:
            say("Who has a token comes in: `flumen console token NAME` makes one. Ctrl-C stops the console.")
        run()


@app.command("token")
def make_token(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Who it is for; stands beside what they change.")
    ],
    *,
    role: Annotated[
        str, typer.Option(help="viewer: may look. operator: may correct and delete as well.")
    ] = "viewer",
    remove: Annotated[bool, typer.Option("--remove", help="Take their token away instead.")] = False,
) -> None:
    """Make a token for somebody, in place of one that they have; it is shown once, and kept hashed."""
    from flumen.console.access import TokenFile
    from flumen.console.access.people import make_person
    from flumen.console.errors import BadPerson

    tokens = TokenFile(_token_path(load_settings()))
    person = make_person(name, role)
    if remove:
        if not tokens.remove(name):
            raise BadPerson(
                f"{name} has no token in {tokens.path}; `flumen console tokens` lists who has one"
            )
        say(f"{name} has no token any more, and every session of theirs is over.")
        return
    token = tokens.add(person)
    typer.echo(token)
    say(f"This is the token of {name}, {role}. It is shown this once; {tokens.path} has its hash.")


@app.command("tokens")
def list_tokens(*, as_json: AsJson = False) -> None:
    """List who has a token, and what they may."""
    from datetime import UTC, datetime

    from flumen.console.access import TokenFile

    rows = [
        {
            "name": entry.person.name,
            "role": entry.person.role.value,
            "since": datetime.fromtimestamp(entry.made_at, UTC).isoformat(),
        }
        for entry in TokenFile(_token_path(load_settings())).entries()
    ]
    print_rows(rows, as_json, columns=("name", "role", "since"))


def _token_path(settings: Settings) -> Path:
    return settings.console_tokens or settings.home / "console" / "tokens.json"


def _gate(settings: Settings) -> "tuple[Gate, str]":
    """Return who may come in, and what is behind the address for whoever starts the console, if they are alone.

    Raises:
        BadSetting: others can reach the address, and there are no tokens.
    """
    from flumen.console.access import Person, Role, TokenFile, new_token
    from flumen.console.access.gate import Gate
    from flumen.console.access.tokens import fingerprint

    path = _token_path(settings)
    if settings.console_tokens is not None or path.exists():
        tokens = TokenFile(path)
        if not tokens.entries():
            raise BadSetting(
                f"nobody has a token in {path}; make one: flumen console token NAME --role operator"
            )
        return Gate(tokens), ""
    if settings.console_host not in _LOOPBACK:
        raise BadSetting(
            f"console_host is {settings.console_host!r}, which others can reach, and nobody has a token: make one "
            "first: flumen console token NAME --role operator"
        )
    token = new_token()
    return Gate(None, (fingerprint(token), Person(actor(), Role.OPERATOR))), f"/sign-in?token={token}"


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    host, port = settings.console_host, settings.console_port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            yield listening
    except OSError as error:
        raise BadSetting(
            f"the console cannot answer on {host} port {port}: {error.strerror or error}; set console_host and "
            "console_port"
        ) from error


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _server(settings: Settings, gate: "Gate", listening: socket.socket) -> Callable[[], None]:
    """Return what serves until SIGTERM or Ctrl-C. Who comes before it runs waits for it."""
    from flumen.console.app import ConsoleOptions, make_app
    from flumen.console.server import make_server

    hosts = (*_LOOPBACK, settings.console_host, *settings.console_hosts)
    stores = make_stores(settings)
    live = make_live(settings, stores)
    app = make_app(stores, ConsoleOptions(gate, hosts), live)
    server = make_server(app, ends=live.end_streams)
    listening.listen(_WAITING_CONNECTIONS)

    def run() -> None:
        # Uvicorn stops at these, and then raises them once more: to have stopped is no failure.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        asyncio.run(server.serve([listening]))

    return run


def make_stores(settings: Settings) -> "Stores":
    """Return what the console needs of the stores of these settings; nothing is connected yet."""
    from flumen.console.stores import Lent, Stores
    from flumen.interceptor import load_chain
    from flumen.stores.kudu import KuduReader
    from flumen.stores.solr import SolrReader

    patience_s = settings.console_timeout_s
    return Stores(
        index=Lent("Solr", lambda: SolrReader(settings.solr_options()), _READERS, patience_s),
        rows=Lent("Kudu", lambda: KuduReader(settings.kudu_options()), _READERS, patience_s),
        groups={
            type(step).__name__.lower(): tuple(step.columns) for step in load_chain(settings.interceptors)
        },
        corrector=lambda by, reason: correcting(settings, reason, by),
        classes=_classes(settings),
        searchable=partial(make_searchable, settings),
        models=make_models(settings),
    )


def make_live(settings: Settings, stores: "Stores") -> "Live":
    """Return what the console watches, by these settings; nothing is asked yet."""
    from flumen.console.dead_letters.listed import DeadLetterList
    from flumen.console.dead_letters.queue import KafkaQueue, following
    from flumen.console.dead_letters.service import DeadLetters
    from flumen.console.live import Live
    from flumen.console.now.collector import EVERY_S, Collector, Sources
    from flumen.console.now.kafka import backlog_of, fleet_of
    from flumen.console.watching import Watched
    from flumen.stores.solr.search import Search

    async def solr() -> str:
        found = await stores.index.ask(lambda index: index.find(Search(rows=0)))
        return f"{found.total:,} images are found"

    async def kudu() -> str:
        return f"{len(await stores.rows.ask(lambda rows: rows.tables()))} tables"

    known = DeadLetterList()
    dead_letters = DeadLetters(
        known, Watched("dead-letters", partial(following, settings, known)), KafkaQueue(settings, known)
    )
    sources = Sources(
        fleet=Watched("fleet", partial(fleet_of, settings)),
        backlog=Watched("backlog", partial(backlog_of, settings), EVERY_S),
        dead_letters=dead_letters.source,
        stores={
            name: ask for name, ask in (("Kudu", kudu), ("Solr", solr)) if name.lower() in settings.sinks
        },
    )
    return Live(Collector(sources), dead_letters)


def _classes(settings: Settings) -> Callable[[str, int], Sequence[str]]:
    from flumen.models.errors import ModelError
    from flumen.models.repository import Repository

    repository = Repository(settings.model_repository)

    @lru_cache(100)
    def known(name: str, version: int) -> Sequence[str]:
        return repository.manifest(name, version).labels

    def classes(name: str, version: int) -> Sequence[str]:
        try:
            return known(name, version)
        except ModelError:
            return ()

    return classes
