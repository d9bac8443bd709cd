"""The judging server answers OpenAI's client and others, many at once, and outlives its clients."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest

from tasks.asking.asker import Asker
from tasks.asking.conversation import question
from tasks.asking.turns import open_asker
from tasks.judging.judge import judge_pairs, score_points, vote_pairs
from tasks.judging.serve import application, listen, opened
from tasks.judging.thinking import asked_to_think
from tasks.judging.trust import Trust
from tasks.records.judgements import Judgement, judgement_of
from tasks.running.errors import UserError
from tests.flows.servers import free_port, wait_until
from tests.tasks.judging.serving import (
    KEY,
    PAIR,
    PICTURE,
    SAMPLE,
    LongerIsBetter,
    judged,
    post,
    running,
    said,
    serving,
)

ROOT = Path(__file__).resolve().parents[3]


def test_votes_are_cast_in_both_orders_and_what_cannot_be_read_is_none(tmp_path):
    asker = Asker(LongerIsBetter(), tmp_path)
    pairs = [
        Judgement("1", "Which?", (), ("A red star.", "A star.")),
        Judgement("2", "Which?", (), ("Same.", "Same?")),  # the first one shown, both times
        Judgement("3", "UNREADABLE", (), ("A red star.", "A star.")),
    ]
    assert vote_pairs(asker, pairs, votes=2) == [1.0, 0.5, None]


@pytest.fixture(scope="module")
def model(model_folder, tmp_path_factory):
    """The address of a server of a real model."""
    judge, worker = opened(model_folder, tmp_path_factory.mktemp("memory"), "cpu")
    with running(application(judge, worker, "judge", Trust(), KEY)) as address:
        yield address
    worker.submit(judge.memory.close).result()
    worker.shutdown()


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """The address of a server whose verdicts are known."""
    with serving(LongerIsBetter(), tmp_path_factory.mktemp("known")) as address:
        yield address


@pytest.fixture
def client(model):
    with openai.OpenAI(base_url=f"{model}/v1", api_key=KEY, max_retries=0) as client:
        yield client


# --- OpenAI's API


def test_the_client_of_openai_gets_what_the_model_here_says(client, model_folder, tmp_path):
    assert [model.id for model in client.models.list()] == ["judge"]
    here = open_asker(model_folder, tmp_path, "cpu")
    asked = question("How many stars are there?", SAMPLE.images)
    [[mine]] = here.ask([asked], max_new_tokens=8)
    theirs = client.chat.completions.create(
        model="judge", max_tokens=8, logprobs=True,
        messages=said("How many stars are there?", PICTURE),
    )  # fmt: skip
    [choice] = theirs.choices
    assert choice.message.content == mine.text and choice.message.role == "assistant"
    assert choice.finish_reason == {"limit": "length", "end": "stop"}[mine.ended]
    assert theirs.usage.completion_tokens == mine.tokens > 0 < theirs.usage.prompt_tokens
    [scored] = here.score([(asked, mine.text)])
    assert [token.logprob for token in choice.logprobs.content] == pytest.approx(
        scored.log_probs, abs=1e-4
    )
    assert "".join(token.token for token in choice.logprobs.content) == mine.text


def test_sampled_answers_are_as_many_as_asked_for_and_repeat_with_their_seed(client):
    def sampled(**how) -> list[str]:
        found = client.chat.completions.create(
            model="judge", messages=said("Tell."), max_completion_tokens=8, temperature=1, **how
        )
        return [choice.message.content for choice in found.choices]

    first, again, other = sampled(n=3, seed=1), sampled(n=3, seed=1), sampled(n=3, seed=2)
    assert first == again != other and len(set(first)) > 1
    assert sampled() != sampled()  # without a seed each is drawn anew


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"stream": True}, "sent whole"),
        ({"messages": [{"role": "assistant", "content": "?"}]}, "the last message"),
        ({"messages": []}, "at least 1"),
        ({"n": 17}, "less than or equal to 16"),
        ({"temperature": -1}, "greater than or equal to 0"),
        ({"top_p": 0.5}, "greater than or equal to 1"),
        ({"max_tokens": 10**9}, "less than or equal to 4096"),
        ({"extra_body": {"tools": []}}, "tools: Extra inputs are not permitted"),
        ({"max_tokens": 4000}, "longer than the model's context"),
        ({"messages": said("?", "https://example.com/cat.png")}, "no address is fetched"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_reason(client, how, words):
    asked = {"model": "judge", "messages": said("What is it?"), "max_tokens": 4}
    with pytest.raises(openai.BadRequestError, match=words):
        client.chat.completions.create(**asked | how)


def test_another_model_is_not_here(client):
    with pytest.raises(openai.NotFoundError, match="this is judge"):
        client.chat.completions.create(model="policy", messages=said("?"))


# --- judging


def test_a_judge_behind_the_server_says_what_it_says_here(model, model_folder, tmp_path):
    here = open_asker(model_folder, tmp_path, "cpu")
    pair = judgement_of(SAMPLE)
    [verdict] = judge_pairs(here, [pair])
    points = score_points(here, [pair.alone(0), pair.alone(1)])
    found = judged(
        model, prompt=pair.prompt, media=[PICTURE], candidates=list(pair.responses), scores=True
    )
    [row] = found["verdicts"]
    assert row["orders"] == list(verdict.orders) and row["candidates"] == [0, 1]
    assert (row["preference"] is None) == (verdict.preference is None)
    assert [(s["written"], s["expected"]) for s in found["scores"]] == [
        (p.written, pytest.approx(p.expected, abs=1e-3)) for p in points
    ]


def test_candidates_are_compared_scored_and_ranked(known):
    found = judged(known, candidates=["A.", "A red star.", "A star."], scores=True)
    assert [row["candidates"] for row in found["verdicts"]] == [[0, 1], [0, 2], [1, 2]]
    assert [row["winner"] for row in found["verdicts"]] == ["B", "B", "A"]
    assert [row["orders"] for row in found["verdicts"]] == [["B", "B"], ["B", "B"], ["A", "A"]]
    assert all(0 <= row["preference"] <= 1 for row in found["verdicts"])
    assert [row["index"] for row in found["ranking"]] == [1, 2, 0]
    assert [score["written"] for score in found["scores"]] == [2, 10, 7]
    assert [score["share"] for score in found["scores"]] == pytest.approx([1 / 9, 1, 6 / 9])
    assert not found["calibrated"] and "below_bar" not in found and found["model"] == "judge"


def test_a_judge_may_think_first_and_says_what_it_wrote(known):
    found = judged(known, candidates=["A.", "A red star.", "UNREADABLE"], mode="think")
    first, *_, last = found["verdicts"]
    assert first["orders"] == ["B", "B"] and first["winner"] == "B"
    assert first["preference"] == pytest.approx(0, abs=1e-5)
    straight, turned = first["reasoning"]
    assert straight["scores"] == {"Length": [2, 10]} and straight["totals"] == [2, 10]
    assert turned["scores"] == {"Length": [10, 2]} and "<think>" in turned["text"]
    assert last["preference"] is None and last["reasoning"][0]["why"] and not found["calibrated"]
    plainly = judged(known, candidates=["A.", "A red star."])
    assert "reasoning" not in plainly["verdicts"][0]


def test_a_trace_of_a_conversation_is_a_field_of_its_own(known):
    [turn] = asked_to_think(Judgement("", "What?", (), ("A.", "A red star.")))
    body = {"messages": [{"role": "user", "content": turn.text}]}
    message = post(known, "/v1/chat/completions", body).json()["choices"][0]["message"]
    assert message["content"] == "Answer 2 is better"
    assert message["reasoning_content"].startswith("1. Length: Answer 1 (2/10)")
    whole = post(known, "/v1/chat/completions", body | {"logprobs": True}).json()
    assert "<think>" in whole["choices"][0]["message"]["content"]


def test_only_the_pairs_that_are_asked_for_are_compared(known):
    found = judged(known, candidates=["A.", "A red star.", "A star."], pairs=[[2, 0]])
    assert [(row["candidates"], row["winner"]) for row in found["verdicts"]] == [([2, 0], "A")]
    assert [row["index"] for row in found["ranking"]] == [2, 0] and found["scores"] == []


def test_what_is_not_said_is_no_win(known):
    found = judged(known, candidates=["UNREADABLE", "TOO LONG", "A star."], scores=True)
    assert (
        {row["preference"] for row in found["verdicts"]}
        == {None}
        == {row["winner"] for row in found["verdicts"]}
    )
    assert found["ranking"] == [] and "longer" in found["verdicts"][2]["unjudged"]
    assert [score["share"] for score in found["scores"]][:2] == [None, None]


def test_generated_pictures_are_candidates_of_their_own(known):
    found = judged(known, task="image_generation", candidates=[[PICTURE], [PICTURE]])
    assert len(found["verdicts"]) == 1


def test_a_calibrated_judge_tells_calibrated_preferences_and_what_it_fails_at(tmp_path):
    trust = Trust(temperature=2.0, tie_band=0.2, below=("it repeats itself",), fitted=True)
    with serving(LongerIsBetter(), tmp_path / "a", trust) as calibrated:
        found = judged(calibrated, candidates=["A star", "A star."])
        [row] = found["verdicts"]
        # log-probabilities that are apart by 1 are a probability of 0.27, and of 0.38 at 2
        assert row["preference"] == pytest.approx(1 / (1 + 2.718281828**0.5), abs=1e-3)
        assert row["winner"] == "B" and found["calibrated"]
        assert found["below_bar"] == ["it repeats itself"]
        documents = {"query": "?", "documents": ["A star."]}
        assert post(calibrated, "/rerank", documents).json()["below_bar"]


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_documents_are_put_in_order(known, path):
    texts = ["A.", {"text": "A red star."}, "UNREADABLE", "A star."]
    found = post(known, path, {"query": "What is it?", "documents": texts}).json()
    assert [row["index"] for row in found["results"]] == [1, 3, 0] and found["unjudged"] == [2]
    scores = [row["relevance_score"] for row in found["results"]]
    assert scores == sorted(scores, reverse=True) and 0 <= min(scores) <= max(scores) <= 1
    asked = {"query": "What is it?", "documents": texts, "top_n": 1, "return_documents": True}
    [best] = post(known, path, asked).json()["results"]
    assert best["document"] == {"text": "A red star."}


def test_a_judge_that_breaks_on_one_question_answers_the_others(known):
    async def ask(client, word):
        return await client.post("/v1/judge", json=PAIR | {"candidates": [word, "A star."]})

    async def all_at_once():
        headers = {"Authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(base_url=known, headers=headers, timeout=60) as client:
            return await asyncio.gather(*(ask(client, w) for w in ("BROKEN", "A ring.", "A.")))

    assert [one.status_code for one in asyncio.run(all_at_once())] == [500, 200, 200]


def test_the_same_judging_stands_before_another_server(model, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    judge, worker = opened(f"{model}/v1", tmp_path)
    with running(application(judge, worker, "before", Trust(), KEY)) as address:
        here, there = (judged(where, scores=True) for where in (model, address))
        told = openai.OpenAI(base_url=f"{address}/v1", api_key=KEY).chat.completions.create(
            model="before", messages=said("How many?", PICTURE), max_tokens=4
        )
    worker.submit(judge.memory.close).result()
    worker.shutdown()
    assert [row["orders"] for row in here["verdicts"]] == [
        row["orders"] for row in there["verdicts"]
    ]
    assert told.choices[0].message.content


# --- many at once


def test_32_clients_all_get_their_own_answers_and_equal_questions_are_asked_once(tmp_path):
    engine = LongerIsBetter()
    words = [f"{'A' * (n % 20)}." for n in range(160)]  # 20 different, each asked 8 times

    def ask(client: httpx.Client, word: str) -> str:
        answer = client.post("/v1/judge", json=PAIR | {"candidates": [word, "A star of."]})
        return answer.json()["verdicts"][0]["winner"]

    with serving(engine, tmp_path) as address, ThreadPoolExecutor(32) as pool:
        headers = {"Authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
            engine.free.clear()
            futures = [pool.submit(ask, client, word) for word in words]
            wait_until(lambda: engine.batches, 30, 0.01)
            engine.free.set()
            winners = [future.result() for future in futures]
    lengths = [len(word) for word in words]
    assert winners == ["A" if n > 10 else "tie" if n == 10 else "B" for n in lengths]
    # two orders of each; what was asked a second time was remembered
    assert sum(engine.batches) == 40 and max(engine.batches) > 2


def test_a_client_that_is_killed_in_mid_request_takes_no_other_with_it(tmp_path):
    engine = LongerIsBetter()
    with serving(engine, tmp_path) as address, ThreadPoolExecutor(4) as pool:
        engine.free.clear()
        first = pool.submit(judged, address, candidates=["A.", "A star."])
        wait_until(lambda: engine.batches, 30, 0.01)
        together = {"candidates": ["A ring.", "A red star."]}
        alone = {"candidates": ["A square.", "A blue square."]}
        doomed = [killed_while_waiting(address, PAIR | asked) for asked in (together, alone)]
        other = pool.submit(judged, address, **together)
        for client in doomed:
            client.kill()
            client.wait()
        wait_until(lambda: other.running(), 10, 0.01)
        time.sleep(0.3)  # the server hears of the ends
        engine.free.set()
        assert first.result()["verdicts"][0]["winner"] == "B"
        assert other.result()["verdicts"][0]["winner"] == "B"
        assert judged(address)["verdicts"][0]["winner"] == "B"
    assert sum(engine.batches) == 6  # what only a dead client wanted was not begun


def killed_while_waiting(address: str, body: dict) -> subprocess.Popen:
    """Return a process that has asked and waits."""
    asks = (
        "import json, sys, urllib.request as u\n"
        "address, key, body = sys.argv[1:]\n"
        "h = {'Authorization': f'Bearer {key}', 'Content-Type': 'application/json'}\n"
        "print('asking', flush=True)\n"
        "u.urlopen(u.Request(address + '/v1/judge', body.encode(), h)).read()\n"
    )
    client = subprocess.Popen(
        [sys.executable, "-S", "-c", asks, address, KEY, json.dumps(body)],
        stdout=subprocess.PIPE, env=os.environ | {"NO_PROXY": "127.0.0.1"},
    )  # fmt: skip
    client.stdout.readline()
    time.sleep(0.3)  # the request is on its way
    return client


# --- the command


def test_the_command_serves_a_folder_with_a_key_of_its_own_and_ends_when_told(
    model_folder, tmp_path
):
    port = free_port()
    command = [sys.executable, "-m", "tasks.judging.serve", "--judge", model_folder,
               "--port", port, "--device", "cpu"]  # fmt: skip
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    variables.pop("COLLIMATE_JUDGE_KEY", None)
    server = subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=subprocess.PIPE)
    assert b"is asked at" in server.stdout.readline()
    file = tmp_path / ".runtime" / f"judge_key-{port}"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    name = Path(model_folder).name
    with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=file.read_text()) as client:
        found = client.chat.completions.create(model=name, messages=said("?"), max_tokens=2)
        assert found.model == name
    with pytest.raises(UserError, match=f"Port {port} for the judge"):
        listen(int(port))
    server.send_signal(signal.SIGINT)
    assert server.wait(30) == 0
