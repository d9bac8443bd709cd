"""Servers that answer badly, for tests of what asks them."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def raw_server() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """Return a function that starts a server which does what it likes with each connection."""
    opened: list[socket.socket] = []
    over = threading.Event()

    def start(behave: Callable[[socket.socket], None]) -> str:
        listening = socket.create_server(("127.0.0.1", 0))
        opened.append(listening)

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with connection:
                try:
                    connection.recv(65536)
                    behave(connection)
                except OSError:
                    pass  # whoever asked has left

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}/search"

    yield start
    over.set()
    for one in opened:
        one.close()
