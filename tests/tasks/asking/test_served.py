"""A served model answers as it does here, whatever its server does; what fails is told and counted.

The server is a real one with a tiny model behind it (`tests/tasks/asking/server.py`).
"""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.asking import served
from tasks.asking.asker import Asker
from tasks.asking.conversation import Turn, question
from tasks.asking.served import Limits, ServedEngine
from tasks.asking.turns import open_asker
from tasks.running.errors import UserError
from tasks.world.shards import make_sample
from tests.tasks.asking.serving import Server

FAST = Limits(at_once=8)


@pytest.fixture(scope="module")
def server(model_folder) -> Iterator[Server]:
    server = Server(model_folder)
    yield server
    server.process.kill()
    server.process.wait()


@pytest.fixture(autouse=True)
def behaves(server, monkeypatch):
    monkeypatch.setattr(served, "SECONDS", 5.0)
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.05)
    server.misbehaves()


@pytest.fixture(scope="module")
def conversations() -> list:
    samples = [
        make_sample(0, "test", t, n) for n in range(4) for t in ("count", "motion", "text_only")
    ]
    asked = [question(sample.prompt, sample.images) for sample in samples]
    return [*asked, (*asked[0], Turn("assistant", "Two."), Turn("user", "Are you sure?"))]


def asker_of(server: Server, folder: Path, **limits) -> Asker:
    return Asker(ServedEngine(server.address, "", Limits(**{"at_once": 8} | limits)), folder)


def test_greedy_answers_and_scores_are_those_of_the_model_here(
    server, conversations, model_folder, tmp_path
):
    here = open_asker(model_folder, tmp_path / "here", "cpu")
    there = asker_of(server, tmp_path / "there")
    how = {"max_new_tokens": 8, "alternatives": ("A", "B"), "scored": True}
    pairs = zip(here.ask(conversations, **how), there.ask(conversations, **how), strict=True)
    for [mine], [theirs] in pairs:
        assert (mine.text, mine.tokens, mine.ended) == (theirs.text, theirs.tokens, theirs.ended)
        assert mine.log_probs == pytest.approx(theirs.log_probs, abs=1e-4)
        assert mine.alternatives == pytest.approx(theirs.alternatives, abs=1e-4)
    given = [(c, text) for c in conversations for text in ("A red ring.", "three")]
    for mine, theirs in zip(here.score(given), there.score(given), strict=True):
        assert mine.offsets == theirs.offsets
        assert mine.log_probs == pytest.approx(theirs.log_probs, abs=1e-4)
    assert here.choose(conversations, ("yes", "no way")) == [
        pytest.approx(row, abs=1e-4) for row in there.choose(conversations, ("yes", "no way"))
    ]


def test_a_server_that_fails_now_and_then_loses_nothing_and_answers_nothing_twice(
    server, conversations, tmp_path
):
    how = {"max_new_tokens": 6, "samples": 3, "temperature": 1.0, "seed": 1}
    calm = asker_of(server, tmp_path / "calm").ask(conversations, **how)
    asker = asker_of(server, tmp_path / "wild")
    server.misbehaves(fail=5, busy=7, lie=3)
    wild = asker.ask(conversations, **how)
    assert [[a.text for a in group] for group in wild] == [
        [a.text for a in group] for group in calm
    ]
    assert asker.unanswered == [] and set(server.texts().values()) == {1}
    assert len(server.texts()) == 3 * len(conversations)
    # who says that it wrote nothing is counted by what it wrote
    assert all(a.tokens >= len(a.text) // 8 for group in wild for a in group)


@pytest.mark.parametrize("fault", ["cut", "empty"])
def test_answers_that_are_none_are_counted_and_asked_again(
    fault, server, conversations, tmp_path, capsys
):
    asker = asker_of(server, tmp_path)
    server.misbehaves(**{fault: 4})
    answers = asker.ask(conversations, max_new_tokens=6)
    holes = [group[0] for group in answers if group[0].unanswered]
    assert 0 < len(holes) == len(asker.unanswered) < len(conversations)
    assert {(hole.text, hole.tokens) for hole in holes} == {("", 0)}
    assert "cannot be read" in capsys.readouterr().out
    server.misbehaves()
    again = asker_of(server, tmp_path)
    assert not any(group[0].unanswered for group in again.ask(conversations, max_new_tokens=6))
    # the model is asked once when it is opened
    assert sum(server.texts().values()) == len(holes) + 1


def test_a_server_that_stalls_is_waited_for_and_asked_again(
    server, conversations, tmp_path, monkeypatch
):
    asker = asker_of(server, tmp_path)
    monkeypatch.setattr(served, "SECONDS", 1.0)
    server.misbehaves(stall=6)
    answers = asker.ask(conversations[:4], max_new_tokens=4)
    assert not any(group[0].unanswered for group in answers)


def test_a_server_that_dies_loses_what_was_under_way_and_the_next_start_asks_that(
    model_folder, conversations, tmp_path, monkeypatch
):
    monkeypatch.setattr(served, "ATTEMPTS", 2)
    server = Server(model_folder)
    asker = asker_of(server, tmp_path, at_once=2)
    server.misbehaves(die=6)
    first = asker.ask(conversations, max_new_tokens=6)
    server.process.wait(30)
    lost = [i for i, [answer] in enumerate(first) if answer.unanswered]
    assert 0 < len(lost) < len(conversations)
    server.start()
    second = asker_of(server, tmp_path).ask(conversations, max_new_tokens=6)
    server.process.kill()
    server.process.wait()
    assert not any(answer.unanswered for [answer] in second)
    assert [a for i, a in enumerate(second) if i not in lost] == [
        a for i, a in enumerate(first) if i not in lost
    ]


def test_a_budget_stops_before_it_is_passed(server, conversations, tmp_path):
    asker = asker_of(server, tmp_path, at_once=1, budget=3000)
    with pytest.raises(UserError, match="budget of 3,000 tokens"):
        asker.ask(conversations, max_new_tokens=6)
    done = sum(server.texts().values()) - 1
    assert 0 < done < len(conversations)
    rest = asker_of(server, tmp_path)
    rest.ask(conversations, max_new_tokens=6)
    assert sum(server.texts().values()) == len(conversations) + 2  # nothing was asked twice


def test_requests_keep_to_the_rate(server, tmp_path):
    asker = asker_of(server, tmp_path, requests=120)
    asked = [question(f"What is {n}?") for n in range(124)]
    began = time.monotonic()
    asker.ask(asked, max_new_tokens=1)
    assert time.monotonic() - began >= 2  # 120 at once, and then two a second


def test_another_model_behind_the_address_is_refused(server, conversations, tmp_path):
    asker = asker_of(server, tmp_path)
    server.misbehaves(other=1)
    with pytest.raises(UserError, match="answers as another"):
        asker.ask(conversations[:1], max_new_tokens=2)


@pytest.mark.parametrize("fault", ["dumb", "garble"])
def test_scores_that_are_not_told_or_do_not_fit_are_none(fault, server, tmp_path):
    asker = asker_of(server, tmp_path)
    server.misbehaves(**{fault: 1})
    given = [(question("Which?"), "A red ring.")]
    if fault == "dumb":
        with pytest.raises(UserError, match="does not tell the log-probabilities"):
            asker.score(given)
        with pytest.raises(UserError, match="does not tell log-probabilities"):
            asker.ask([question("Which?")], max_new_tokens=2, scored=True)
    else:
        [scored] = asker.score(given)
        assert "do not make the text" in scored.unanswered


def test_addresses_that_are_no_server_are_told(server, tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(UserError, match="cannot be asked"):
            ServedEngine(f"http://127.0.0.1:{nobody.getsockname()[1]}/v1")
    with pytest.raises(UserError, match="does not have what is asked for"):
        ServedEngine(f"{server.base}/v2")


def test_the_key_reaches_the_server_and_nothing_else(
    model_folder, conversations, tmp_path, monkeypatch, capsys
):
    server = Server(model_folder, SERVER_KEY="sk-very-secret")
    with pytest.raises(UserError, match="does not let this program in"):
        ServedEngine(server.address)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    asker = asker_of(server, tmp_path)
    asker.ask(conversations[:2], max_new_tokens=2)
    server.process.kill()
    server.process.wait()
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    said = "".join(capsys.readouterr())
    assert b"very-secret" not in kept and "very-secret" not in said + asker.engine.identity
