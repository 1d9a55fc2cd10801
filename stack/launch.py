"""Start several servers at once, and wait until every one answers."""

from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Lock

from flumen.stack.artifacts import resolve
from flumen.stack.errors import ServerFailed
from flumen.stack.layout import Layout, State
from flumen.stack.process import ProcessId, inherited, spawn, stop
from flumen.stack.server import READY_SECONDS, Server, wait_ready
from flumen.stores.artifacts.folders import writing
from flumen.stores.artifacts.progress import Progress

GRACE_SECONDS = 30.0
"""How long the others may take that are still starting when one has failed."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One `up`: `state` is what runs before it."""

    layout: Layout
    state: State
    progress: Progress
    timeout_s: float = READY_SECONDS
    started: dict[str, ProcessId] = field(default_factory=dict)
    cancelled: Event = field(default_factory=Event)
    lock: Lock = field(default_factory=Lock)

    def run(self, servers: Sequence[Server]) -> None:
        """Start the servers that have no process; return when all of them answer.

        Where one does not, the others go on, and so does the one that is only late. On any other error, and on Ctrl-C,
        what was started here is stopped before the error goes on.

        Raises:
            ArtifactError: an artifact cannot be downloaded.
            ServerFailed: servers died, or did not become ready in `timeout_s`; the message names them, and the others.
        """
        missing = [server for server in servers if server.name not in self.state.processes]
        groups = dict.fromkeys(server.group for server in missing)
        files = {group: resolve(group, self.progress) for group in groups}
        self.layout.write_state(self.state)
        try:
            failures = self._run_all(servers, files)
        except BaseException:
            stop(self.started.values())
            self.layout.write_state(self.state)
            raise
        if failures:
            raise ServerFailed("\n".join([*map(str, failures), self._tell_others(servers)])) from failures[0]

    def _run_all(self, servers: Sequence[Server], files: Mapping[str, Sequence[Path]]) -> list[ServerFailed]:
        with ThreadPoolExecutor(len(servers), thread_name_prefix="stack") as pool:
            try:
                futures = [pool.submit(self._run_one, server, files) for server in servers]
                done, late = wait(futures, return_when=FIRST_EXCEPTION)
                failures = [failure for future in done if (failure := _failure(future))]
                if late:
                    done, _ = wait(late, GRACE_SECONDS)
                    failures += [failure for future in done if (failure := _failure(future))]
            finally:
                self.cancelled.set()
        return failures

    def _tell_others(self, servers: Sequence[Server]) -> str:
        running = self.layout.read_state().running()
        ready = [server.name for server in servers if server.name in running and server.answers()]
        late = [name for name in running if name not in ready]
        told = [f"Running, and kept so: {', '.join(ready) or 'none'}."]
        if late:
            told.append(f"Still starting: {', '.join(late)}.")
        return " ".join([*told, "`flumen up` goes on from here, `flumen down` stops all."])

    def _run_one(self, server: Server, files: Mapping[str, Sequence[Path]]) -> None:
        task = f"start {server.name}"
        self.progress(task, 0, 1, "steps")
        process = self.state.processes.get(server.name) or self._start(server, files[server.group])
        wait_ready(server, process, self.layout.log(server.name), self.cancelled, self.timeout_s)
        self.progress(task, 1, 1, "steps")

    def _start(self, server: Server, files: Sequence[Path]) -> ProcessId:
        with writing(self.layout.data(server.name)):
            command = server.prepare(files)
        with self.lock:
            environment = {**inherited(), **command.environment}
            process = spawn(command.arguments, environment, self.layout.log(server.name))
            self.started[server.name] = process
            # Recorded at once: an `up` that is killed now leaves servers that the next one finds.
            processes = {**self.state.processes, **self.started}
            self.layout.write_state(replace(self.state, processes=processes))
        return process


def _failure(future: "Future[None]") -> ServerFailed | None:
    """Return why a server is not ready; anything else that went wrong is raised."""
    try:
        future.result()
    except ServerFailed as error:
        return error
    return None
