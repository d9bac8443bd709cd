"""A judged reward is what the judge says; what a server does not say is None and counted.

The judging server is a real one; a layer before it misbehaves when it is told to.
"""

import asyncio
import json
import pickle
import socket
import threading
from contextlib import suppress

import pytest
from PIL import Image
from trl.trainer.utils import get_callable_name, is_async_callable

from tasks.judging.serve import listen
from tasks.judging.serving.forms import CANDIDATES
from tasks.judging.serving.key import address
from tasks.judging.trust import Trust
from tasks.rewards import judged
from tasks.rewards.judged import MOST_OPPONENTS, Judged
from tasks.rewards.reward import Reward
from tasks.running.errors import UserError
from tests.tasks.judging.serving import KEY, LongerIsBetter, running, serving


class Unreliable:
    """An application before another, which misbehaves on some of the requests."""

    def __init__(self, app):
        self.app = app
        self.how, self.every, self.seen = "", 1, 0

    async def __call__(self, scope, receive, send):
        self.seen += scope["type"] == "http"
        if scope["type"] != "http" or not self.how or self.seen % self.every:
            return await self.app(scope, receive, send)
        if self.how == "stall":
            return await asyncio.sleep(1)
        if self.how == "crash":
            raise ConnectionError
        if self.how.isdigit():
            return await answer(send, int(self.how), b"slowly", [(b"retry-after", b"0.01")])
        if self.how != "cut":
            return await answer(send, 200, self.how.encode())

        async def cut(message):
            if message["type"] == "http.response.start":
                lines = [line for line in message["headers"] if line[0] != b"content-length"]
                return await send(message | {"headers": lines})
            await send(message | {"body": message["body"][:40]})

        await self.app(scope, receive, cut)


async def answer(send, status: int, body: bytes, headers=()) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server, and what makes it misbehave."""
    before = []

    def layered(app):
        before.append(Unreliable(app))
        return before[0]

    engine = LongerIsBetter()
    with serving(engine, tmp_path_factory.mktemp("judge"), layer=layered) as address:
        yield address, before[0], engine


@pytest.fixture(autouse=True)
def impatient(server, monkeypatch):
    monkeypatch.setenv("COLLIMATE_JUDGE_KEY", KEY)
    monkeypatch.setattr(judged, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(judged, "ATTEMPTS", 3)
    server[1].how, server[1].every, server[1].seen = "", 1, 0


def rewards(reward: Judged, texts: list[str], prompts: list[str] | None = None, **columns):
    asked = prompts or ["What is it?"] * len(texts)
    return asyncio.run(reward(prompts=asked, completions=texts, completion_ids=None, **columns))


def test_an_answer_earns_its_score_on_its_scale(server):
    reward = Judged(opponents=0, where=server[0])
    assert rewards(reward, ["A.", "A star.", "A very long answer."]) == pytest.approx(
        [1 / 9, 6 / 9, 1.0]
    )
    assert not reward.unjudged and reward.__name__ == "judged_score"


def test_an_answer_earns_how_often_it_beats_others_of_its_group(server):
    texts = ["A.", "A red star, large.", "A red star.", "A blue ring."]
    prompts = ["What is it?"] * 3 + ["And this?"]
    reward = Judged(opponents=2, where=server[0])
    assert rewards(reward, texts, prompts) == [
        pytest.approx(0, abs=0.01), pytest.approx(1, abs=0.01), pytest.approx(0.5, abs=0.01), None
    ]  # fmt: skip
    assert reward.unjudged == {"alone in its group": 1}


def test_equal_answers_are_even_and_need_no_judge(server):
    assert rewards(Judged(where=server[0]), ["A star."] * 4) == [0.5] * 4
    assert server[1].seen == 0


def test_each_answer_meets_only_so_many_others(server):
    engine, texts = server[2], [f"{'A' * n} star of this group." for n in range(1, 9)]
    engine.batches.clear()
    found = rewards(Judged(opponents=2, where=server[0]), texts)
    assert None not in found and server[1].seen == 8
    assert sum(engine.batches) == 32  # 8 answers, 2 opponents, 2 orders; all pairs were 56


def test_groups_are_of_one_prompt_and_one_picture(server):
    red, blue = (Image.new("RGB", (32, 32), colour) for colour in ("red", "blue"))
    texts = ["A.", "A star.", "A red star.", "A very red star."]
    found = rewards(
        Judged(opponents=3, where=server[0]), texts,
        [[{"role": "user", "content": [{"type": "text", "text": "What is it?"}]}]] * 4,
        images=[[red], [red.copy()], [blue], [blue.copy()]],
    )  # fmt: skip
    assert found == pytest.approx([0, 1, 0, 1], abs=0.02)


@pytest.mark.parametrize("how", ["stall", "crash", "408", "429", "500", "503", "cut", "{}", "?"])
def test_a_server_that_fails_now_and_then_is_asked_again(server, how, monkeypatch):
    monkeypatch.setattr(judged, "SECONDS", 0.5)
    texts = ["A.", "A star.", "A red star."]
    calm = rewards(Judged(where=server[0]), texts)
    server[1].how, server[1].every, server[1].seen = how, 3, 0
    reward = Judged(where=server[0])
    assert rewards(reward, texts) == calm and not reward.unjudged
    assert server[1].seen > 3


NONSENSE = {
    "late": "stall", "busy": "429", "broken": "500", "truncated": "cut", "no JSON": "hello",
    "another list": "[1, 2]", "beyond 1": '{"verdicts": [{"preference": 7}], "scores": []}',
    "not a number": '{"verdicts": [{"preference": NaN}], "scores": []}',
    "too few": '{"verdicts": [], "scores": []}', "a redirection": "302",
}  # fmt: skip


@pytest.mark.parametrize("how", NONSENSE.values(), ids=NONSENSE)
def test_what_stays_unjudged_is_none_and_counted(server, how, monkeypatch):
    monkeypatch.setattr(judged, "SECONDS", 0.2)
    server[1].how = how
    told = {}
    reward = Judged(where=server[0])
    found = rewards(reward, ["A ring.", "A star of it."], log_metric=told.__setitem__)
    assert found == [None, None] and sum(reward.unjudged.values()) == 2
    assert told == {"judged_win_rate/unjudged": 1.0}
    assert server[1].seen == (2 if how == "302" else 6)  # what would be so again is not repeated


def test_what_the_judge_does_not_say_is_none(server):
    reward = Judged(where=server[0])
    assert rewards(reward, ["UNREADABLE", "A star."]) == [None, None]
    assert reward.unjudged == {"the judge does not say": 2}
    assert rewards(Judged(opponents=0, where=server[0]), ["UNREADABLE", "A."]) == [
        None, pytest.approx(1 / 9)
    ]  # fmt: skip


def test_a_server_that_is_not_there_leaves_answers_unjudged(server):
    with running(server[1]) as address:
        pass
    reward = Judged(where=address)
    assert rewards(reward, ["A.", "A star."]) == [None, None]
    assert reward.unjudged == {"the server is not reached (ConnectError)": 2}


def test_a_server_that_dies_in_mid_request_leaves_answers_unjudged():
    def die_again_and_again(door):
        with suppress(OSError):
            while True:
                line, _ = door.accept()
                line.recv(100)
                line.close()

    with listen(0) as door:
        threading.Thread(target=die_again_and_again, args=[door], daemon=True).start()
        reward = Judged(where=address(door.getsockname()[1]))
        assert rewards(reward, ["A.", "A star."]) == [None, None]
        door.shutdown(socket.SHUT_RDWR)
    assert sum(reward.unjudged.values()) == 2
    assert all("not reached" in reason for reason in reward.unjudged)


def test_a_wrong_key_and_a_judge_below_its_bar_stop_a_training(server, tmp_path, monkeypatch):
    below = Trust(below=("it prefers the longer one",))
    with serving(LongerIsBetter(), tmp_path / "below", below) as address:
        with pytest.raises(UserError, match="prefers the longer one"):
            rewards(Judged(where=address), ["A.", "A star."])
        assert None not in rewards(Judged(where=address, allow_below_bar=True), ["A.", "A star."])
    monkeypatch.setenv("COLLIMATE_JUDGE_KEY", "another")
    with pytest.raises(UserError, match="does not let this program in"):
        rewards(Judged(where=server[0]), ["A.", "A star."])
    monkeypatch.delenv("COLLIMATE_JUDGE_KEY")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="The key of the judge"):
        rewards(Judged(where=server[0]), ["A.", "A star."])


def test_it_is_an_async_reward_of_trl_that_travels(server):
    reward = Judged(opponents=1, where=server[0])
    assert is_async_callable(reward) and get_callable_name(reward) == "judged_win_rate"
    assert Reward(function=reward).name == "judged_win_rate"
    assert pickle.loads(pickle.dumps(reward)) == reward


def test_opponents_are_as_many_as_a_judge_takes():
    assert MOST_OPPONENTS == CANDIDATES - 1
    with pytest.raises(UserError, match="cannot meet 16 others"):
        Judged(opponents=MOST_OPPONENTS + 1)


def test_what_a_client_sends_is_json(server):
    [found] = rewards(Judged(opponents=0, where=server[0]), ["\u00e9\u2603 {a} \x00"])
    assert found is not None and json.dumps(found)
