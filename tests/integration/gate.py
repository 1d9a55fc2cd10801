"""An address at which a server can be absent: what comes is handed on to the real one, once the gate is open."""

import socket
import threading
from contextlib import suppress


class Gate:
    """Nothing listens at `address` before `open`."""

    def __init__(self, server: str) -> None:
        """Stand before a server, `host:port`."""
        self._server = server
        self._socket = socket.socket()
        self._socket.bind(
            ("127.0.0.1", 0)
        )  # bound and not listening: connections are refused, the port is kept
        self.address = "{}:{}".format(*self._socket.getsockname())

    def open(self) -> None:
        self._socket.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        host, port = self._server.rsplit(":", 1)
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=_hand_on, args=(client, host, int(port)), daemon=True).start()


def _hand_on(client: socket.socket, host: str, port: int) -> None:
    """Hand on both ways until both are at their end, and close both connections."""
    with suppress(OSError), client, socket.create_connection((host, port)) as server:
        back = threading.Thread(target=_pump, args=(server, client), daemon=True)
        back.start()
        _pump(client, server)
        back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
