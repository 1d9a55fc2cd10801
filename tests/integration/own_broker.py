"""A Kafka of a test's own, which it may kill."""

from dataclasses import dataclass, field

from flumen.stack import kafka
from flumen.stack.launch import Launch
from flumen.stack.layout import Layout, State
from flumen.stack.process import stop
from flumen.stores.artifacts.progress import silent


@dataclass
class Broker:
    """A Kafka that can be killed and started again at the same address, with the same data."""

    layout: Layout
    ports: dict[str, int]
    running: State = field(default_factory=State)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.ports['kafka']}"

    def start(self) -> None:
        Launch(self.layout, State(self.ports), silent).run([kafka.server(self.layout, self.ports)])
        self.running = self.layout.read_state()

    def kill(self) -> None:
        stop(self.running.processes.values(), grace_seconds=0)
