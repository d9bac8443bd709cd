"""The micro-world's writer, asked over HTTP: the same captions as in this process."""

import json
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tasks.asking.turns import open_asker
from tasks.rewards.captions import sentences
from tasks.synthesis.captioning.requests import plan_requests
from tasks.synthesis.captioning.writing import Caption, Material, list_objects, write_captions
from tasks.world.caption_samples import make_habitat
from tasks.world.captioning import PREFIX, draft
from tasks.world.captioning_rules import answered
from tasks.world.wording import at

SCENES = [make_habitat(0, "test", n) for n in range(8)]


class Writer(BaseHTTPRequestHandler):
    """Speaks OpenAI's API, and answers by rules."""

    def do_GET(self):
        self._say({"object": "list", "data": [
            {"id": "rules", "object": "model", "created": 0, "owned_by": "tests"},
        ]})  # fmt: skip

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = asked["messages"][-1]["content"]
        text = content if isinstance(content, str) else "".join(p.get("text", "") for p in content)
        said = {"role": "assistant", "content": answered(text)}
        self._say({
            "id": "1", "object": "chat.completion", "created": 0, "model": "rules",
            "choices": [{"index": 0, "message": said, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        })  # fmt: skip

    def _say(self, what: dict):
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Writer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def captions_by(writer: str, memory: Path) -> list[Caption]:
    asker = open_asker(writer, memory)
    drafts = [sentences(draft(random.Random(n), scene)) for n, scene in enumerate(SCENES)]
    listed = list_objects(asker, drafts, PREFIX, 64)
    materials = []
    for said, some, scene in zip(drafts, listed, SCENES, strict=True):
        requests = plan_requests(some, PREFIX)
        where = {f"the {item.shape}": item for item in scene.picture.shapes}
        answers = {
            one.text: f"The {item.shape} is {item.color if one.kind == 'look' else at(item.cell)}."
            for one in requests if (item := where.get(one.object))
        }  # fmt: skip
        materials.append(Material(tuple(said), tuple(requests), answers))
    return write_captions(asker, materials, 256, "pattern")


def test_a_writer_behind_an_address_writes_the_same_captions(address, tmp_path):
    here = captions_by("tasks/world", tmp_path / "here")
    assert captions_by(address, tmp_path / "there") == here
    assert all(one.text and not one.fell_back and one.calls == 3 for one in here)
    for one, scene in zip(here, SCENES, strict=True):
        colors = [item.color for item in scene.picture.shapes if item.shape in one.text]
        assert colors and all(color in one.text for color in colors)
