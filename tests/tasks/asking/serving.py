"""Starts the tests' own server of a tiny model, in a process of its own."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path

from tests.flows.servers import wait_until

ROOT = Path(__file__).resolve().parents[3]


class Server:
    def __init__(self, model: str, **variables: str):
        self.door = socket.socket()
        self.door.bind(("127.0.0.1", 0))
        self.door.listen(64)
        self.base = f"http://127.0.0.1:{self.door.getsockname()[1]}"
        self.address = f"{self.base}/v1"
        self.command = [sys.executable, "-m", "tests.tasks.asking.server", model]
        self.variables = os.environ | {"PYTHONPATH": str(ROOT)} | variables
        self.start()

    def start(self) -> None:
        handle = self.door.fileno()
        self.process = subprocess.Popen(
            [*self.command, str(handle)], env=self.variables, cwd=ROOT, pass_fds=[handle],
        )  # fmt: skip
        wait_until(lambda: self.process.poll() is not None or self.get("seen") is not None, 60)

    def get(self, path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        with contextlib.suppress(OSError):
            request = urllib.request.Request(f"{self.base}/{path}", data)
            return json.loads(urllib.request.urlopen(request, timeout=60).read())

    def misbehaves(self, **faults: int) -> None:
        self.get("faults", faults)

    def texts(self) -> Counter:
        rows = self.get("seen")
        return Counter(
            json.dumps([row["body"]["messages"], row["body"].get("seed")]) for row in rows
        )

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.door.close()
