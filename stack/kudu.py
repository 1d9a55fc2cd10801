"""Kudu on this machine: one master and one tablet server, from the binaries that Kudu publishes for tests."""

import shutil
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from flumen.stack.artifacts import pinned
from flumen.stack.layout import Layout
from flumen.stack.ports import HOST, is_listening
from flumen.stack.server import Command, Server
from flumen.stores.artifacts.filelock import exclusive
from flumen.stores.artifacts.folders import cache_root, writing

ASK_SECONDS = 10
MIB = 1024 * 1024
FLAGS = (
    # The system clock as it is: no NTP daemon is asked, since a laptop or a container has none to ask.
    "--time_source=system_unsync",
    "--unlock_unsafe_flags",
    "--unlock_experimental_flags",
    "--webserver_enabled=false",
    "--logtostderr",
    "--metrics_log_interval_ms=0",
    "--diagnostics_log_stack_traces_interval_ms=0",
    "--enable_minidumps=false",
)
MASTER_FLAGS = ("--default_num_replicas=1", f"--memory_limit_hard_bytes={256 * MIB}")
TABLET_SERVER_FLAGS = ("--block_cache_capacity_mb=128", f"--memory_limit_hard_bytes={1024 * MIB}")


def servers(layout: Layout, ports: Mapping[str, int]) -> list[Server]:
    """Return the master and the tablet server, on `ports["kudu-master"]` and `ports["kudu-tserver"]`."""
    master = f"{HOST}:{ports['kudu-master']}"
    tablets = f"{HOST}:{ports['kudu-tserver']}"

    def prepare_master(jars: Sequence[Path]) -> Command:
        return _command(jars, layout, "master", master, MASTER_FLAGS)

    def prepare_tablets(jars: Sequence[Path]) -> Command:
        flags = (f"--tserver_master_addrs={master}", *TABLET_SERVER_FLAGS)
        return _command(jars, layout, "tserver", tablets, flags)

    own = {"kudu-master": ports["kudu-master"]}
    both = {**own, "kudu-tserver": ports["kudu-tserver"]}
    return [
        Server("kudu-master", "kudu", master, own, prepare_master, lambda: _master_answers(master)),
        Server(
            "kudu-tserver", "kudu", tablets, both, prepare_tablets, lambda: _tablets_answer(master, tablets)
        ),
    ]


def ask(*arguments: str) -> str | None:
    """Run Kudu's command line tool; return what it prints, or None where it fails or takes too long.

    None too where the tool is not on this machine: it is unpacked when Kudu is first started.
    """
    tool = _tool(unpacked_folder())
    if not Path(tool.arguments[0]).exists():
        return None
    try:
        done = subprocess.run(  # noqa: S603  our own binary, no shell
            [*tool.arguments, *arguments],
            env=dict(tool.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=ASK_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout if done.returncode == 0 else None


def unpacked(jar: Path) -> Path:
    """Return the folder with Kudu's `bin` and `lib`, unpacked from `jar` the first time.

    It is built under another name and renamed, so a folder that is there is whole.
    """
    target = unpacked_folder()
    if target.exists():
        return target
    with writing(target), exclusive(target.with_name("kudu-unpack.lock")):
        if not target.exists():
            draft = target.with_name(f"{target.name}.new")
            shutil.rmtree(draft, ignore_errors=True)
            with zipfile.ZipFile(jar) as archive:
                _unpack(archive, draft)
            draft.replace(target)
    return target


def unpacked_folder() -> Path:
    """Return where Kudu is unpacked to."""
    (artifact,) = pinned()["kudu"]
    return cache_root() / f"kudu-{artifact.sha256[:16]}"


def _unpack(archive: zipfile.ZipFile, folder: Path) -> None:
    for entry in archive.infolist():
        _, *inside = PurePosixPath(entry.filename).parts
        if entry.is_dir() or not inside or inside[0] not in {"bin", "lib"} or ".." in inside:
            continue
        target = folder.joinpath(*inside)
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file)
        target.chmod(0o755 if inside[0] == "bin" else 0o644)


def _tool(folder: Path) -> Command:
    # Kudu brings libraries of its own, an old OpenSSL among them: these names are for its processes alone.
    environment = {"LD_LIBRARY_PATH": str(folder / "lib"), "SASL_PATH": str(folder / "lib" / "sasl2")}
    return Command([str(folder / "bin" / "kudu")], environment)


def _command(jars: Sequence[Path], layout: Layout, role: str, address: str, flags: Sequence[str]) -> Command:
    tool = _tool(unpacked(jars[0]))
    data = layout.data("kudu") / role
    data.parent.mkdir(parents=True, exist_ok=True)
    places = (f"--fs_wal_dir={data}", f"--fs_data_dirs={data}", f"--log_dir={layout.log(role).parent}")
    arguments = [*tool.arguments, role, "run", f"--rpc_bind_addresses={address}", *places, *FLAGS, *flags]
    return Command(arguments, tool.environment)


def _master_answers(master: str) -> bool:
    return is_listening(master) and ask("master", "status", master) is not None


def _tablets_answer(master: str, tablets: str) -> bool:
    """Whether the master knows the tablet server, and every tablet is healthy.

    The second matters after a restart: the tablet server answers before it has replayed its log.
    """
    if not (is_listening(master) and is_listening(tablets)):
        return False
    known = ask("tserver", "list", master, "-columns=rpc-addresses", "-format=csv") or ""
    return tablets in known.splitlines() and ask("cluster", "ksck", master) is not None
