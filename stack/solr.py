"""Solr on this machine: one node, with the config set `flumen` that cores are made from."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import requests

from flumen.stack.errors import StackError
from flumen.stack.jvm import QUICK
from flumen.stack.layout import Layout
from flumen.stack.ports import HOST, is_listening
from flumen.stack.server import Command, Server
from flumen.stores.artifacts.session import open_session

CONFIGSET = "flumen"
ASK_SECONDS = 5


def server(layout: Layout, ports: Mapping[str, int], configset: Path, jvm: Sequence[str] = QUICK) -> Server:
    """Return the Solr node, listening on `ports["solr"]`.

    `configset` is a folder that holds `conf/`, `jvm` are the options of its JVM.
    """
    url = f"http://{HOST}:{ports['solr']}/solr"

    def prepare(jars: Sequence[Path]) -> Command:
        home = layout.data("solr")
        home.mkdir(parents=True, exist_ok=True)
        (home / "solr.xml").write_text("<solr/>\n", encoding="ascii")
        install_configset(configset, home)
        # -P: no module is taken from the current folder.
        program = [sys.executable, "-P", "-m", "flumen.stack.solr_server", str(home), str(ports["solr"])]
        return Command([*program, *jvm], {"CLASSPATH": os.pathsep.join(map(str, jars))})

    return Server("solr", "solr", url, {"solr": ports["solr"]}, prepare, lambda: answers(url))


def install_configset(configset: Path, home: Path) -> None:
    """Copy the config set into a Solr home, in place of the one there. Cores see it when they are loaded.

    Raises:
        StackError: there is no `conf` folder in it.
    """
    if not (configset / "conf").is_dir():
        raise StackError(f"{configset} is not a Solr config set: it has no folder `conf`")
    target = home / "configsets" / CONFIGSET
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(configset, target)


def answers(url: str) -> bool:
    """Whether the Solr node at `http://host:port/solr` tells about itself."""
    if not is_listening(urlsplit(url).netloc):
        return False
    with open_session(url) as session:
        try:
            return session.get(f"{url}/admin/info/system", timeout=ASK_SECONDS).ok
        except requests.RequestException:
            return False
