"""Start several servers at once, and wait until every one answers."""

from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Lock

from stack.artifacts import resolve
from stack.folders import writing
from stack.layout import Layout, State
from stack.process import ProcessId, spawn, stop
from stack.progress import Progress
from stack.server import Server, wait_ready


@dataclass(frozen=True, slots=True)
class Launch:
    """One `up`: `state` is what runs before it."""

    layout: Layout
    state: State
    progress: Progress
    started: dict[str, ProcessId] = field(default_factory=dict)
    cancelled: Event = field(default_factory=Event)
    lock: Lock = field(default_factory=Lock)

    def run(self, servers: Sequence[Server]) -> None:
        """Start the servers that have no process; return when all of them answer.

        Whatever goes wrong, Ctrl-C included, what was started here is stopped before the error goes on.

        Raises:
            ArtifactError: an artifact cannot be downloaded.
            ServerFailed: a server died or did not become ready.
        """
        missing = [server for server in servers if server.name not in self.state.processes]
        groups = dict.fromkeys(server.group for server in missing)
        files = {group: resolve(group, self.progress) for group in groups}
        self.layout.write_state(self.state)
        try:
            self._run_all(servers, files)
        except BaseException:
            stop(self.started.values())
            self.layout.write_state(self.state)
            raise

    def _run_all(self, servers: Sequence[Server], files: Mapping[str, Sequence[Path]]) -> None:
        with ThreadPoolExecutor(len(servers), thread_name_prefix="stack") as pool:
            try:
                futures = [pool.submit(self._run_one, server, files) for server in servers]
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            finally:
                self.cancelled.set()

    def _run_one(self, server: Server, files: Mapping[str, Sequence[Path]]) -> None:
        task = f"start {server.name}"
        self.progress(task, 0, 1, "steps")
        process = self.state.processes.get(server.name) or self._start(server, files[server.group])
        wait_ready(server, process, self.layout.log(server.name), self.cancelled)
        self.progress(task, 1, 1, "steps")

    def _start(self, server: Server, files: Sequence[Path]) -> ProcessId:
        with writing(self.layout.data(server.name)):
            command = server.prepare(files)
        with self.lock:
            process = spawn(command.arguments, command.environment, self.layout.log(server.name))
            self.started[server.name] = process
            # Recorded at once: an `up` that is killed now leaves servers that the next one finds.
            processes = {**self.state.processes, **self.started}
            self.layout.write_state(replace(self.state, processes=processes))
        return process
