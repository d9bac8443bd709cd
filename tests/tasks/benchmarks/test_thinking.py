"""What a judge that thinks is worth is counted in both orders, and its traces against the truth."""

import re
from dataclasses import replace

import pytest

from tasks.asking.asker import Asker
from tasks.asking.conversation import Answer, Scored
from tasks.benchmarks.thinking import (
    follows,
    right_in_orders,
    trace_measures,
    true_scores,
    verdict_measures,
    voted_measures,
)
from tasks.judging.thinking import think_pairs, thought_of, verdict_of
from tasks.judging.traces import Row, consistency, parse_trace, rescored, write_trace
from tasks.records.judgements import Judgement
from tasks.world.thinking import make_pair

PAIRS = [make_pair(0, "test", task, i) for task in ("image_generation", "image_understanding")
         for i in range(20)]  # fmt: skip


def true_trace(shown: Judgement) -> str:
    rows = [Row(name, scores) for name, scores in true_scores(shown).items()]
    return write_trace(shown.task, rows, shown.winner)


class Adds:
    """An engine that knows the true scores, and prefers the verdict of the larger total."""

    identity = "adds"

    def __init__(self, by_place: bool = False):
        self.by_place = by_place
        self.shown = {order.media + tuple(order.responses): order
                      for pair in PAIRS for order in (pair, pair.swapped())}  # fmt: skip

    def answers(self, asked, how):
        for place, one in enumerate(asked):
            [turn] = one.conversation
            shown = next(
                order for key, order in self.shown.items()
                if turn.images == order.media and order.prompt in turn.text
                and all(f"{i}: {text}" in turn.text for i, text in enumerate(order.responses, 1))
            )  # fmt: skip
            yield place, [Answer(true_trace(shown), 63, ended="end")] * len(one.seeds)

    def scores(self, given):
        for place, (_, text) in enumerate(given):
            first, second = map(int, re.findall(r"=(\d+)", text))
            said = text.rpartition("<answer>")[2]
            right = ("1 is" in said) == (True if self.by_place else first > second)
            yield place, Scored((0.0 if right else -5.0,), ((0, len(text)),))


def thoughts_of(judge: Asker):
    return [(one, other) for [one], [other] in think_pairs(judge, PAIRS, max_new_tokens=99)]


def test_a_judge_that_knows_the_truth_is_right_everywhere(tmp_path):
    judge = Asker(Adds(), tmp_path)
    both = thoughts_of(judge)
    verdicts = [verdict_of(*one) for one in both]
    found = verdict_measures(PAIRS, verdicts)
    assert found["diff"] == found["swap"] == found["gold_first"] == found["gold_second"] == 1
    assert found["n"] == len(PAIRS) and found["tokens"] == 63 and found["unreadable"] == 0
    assert all(found[f"diff_margin_{n}"] == 1 for n in (1, 2, 3))
    told = trace_measures(PAIRS, both)
    assert told["layout"] == told["consistent"] == told["cells"] == 1
    assert told["wrong_sum"] == told["against_totals"] == told["cell_error"] == 0
    assert follows(judge, PAIRS, both) == {"follows": 1.0, "with_true_scores": 1.0}
    votes = think_pairs(judge, PAIRS[:4], max_new_tokens=99, samples=3)
    assert voted_measures(PAIRS[:4], votes, 5) == {"voted": 1.0, "voted_n": 4.0}


def test_a_verdict_that_does_not_look_at_the_scores_is_seen(tmp_path):
    judge = Asker(Adds(by_place=True), tmp_path)
    both = thoughts_of(judge)
    found = follows(judge, PAIRS, both)
    assert found["follows"] == pytest.approx(0.5, abs=0.01)  # both orders: each place wins as often


def test_always_the_first_is_right_in_one_of_two_orders():
    texts = [write_trace(p.task, [Row("Colors", (7, 4))], "A") for p in PAIRS]
    both = [
        tuple(thought_of(Answer(text, 9), p.task, turned) for turned in (False, True))
        for p, text in zip(PAIRS, texts, strict=True)
    ]
    verdicts = [verdict_of(*one) for one in both]
    assert all(right_in_orders(p, v) == 0.5 for p, v in zip(PAIRS, verdicts, strict=True))
    found = verdict_measures(PAIRS, verdicts)
    assert (found["diff"], found["swap"], found["gold_first"], found["gold_second"]) == (
        0.5, 0.0, 1.0, 0.0
    )  # fmt: skip


def test_what_cannot_be_read_is_wrong_and_counted():
    unread = thought_of(Answer("I like both.", 4), PAIRS[0].task, False)
    found = verdict_measures(PAIRS[:1], [verdict_of(unread, unread)])
    assert found["diff"] == 0 and found["unreadable"] == 1
    assert trace_measures(PAIRS[:1], [(unread, unread)]) == {"layout": 0}
    assert voted_measures(PAIRS[:1], [([unread] * 3, [unread] * 3)], 5)["voted"] == 0.5


@pytest.mark.parametrize("seen", [("", ""), ("red, pink not blue", "two rings")])
@pytest.mark.parametrize("reasons", [(), (("clear (3/10?)", "dim"), ("a", "b"))])
def test_other_scores_leave_a_consistent_trace_consistent(seen, reasons):
    rows = [Row("Colors", (7, 4), seen), Row("Places", (10, 1), seen)]
    text = write_trace("image_generation", rows, "A", reasons)
    changed = rescored(text, "image_generation", [(1, 10), (2, 9)])
    trace = parse_trace(changed, "image_generation")
    assert [row.scores for row in trace.rows] == [(1, 10), (2, 9)]
    assert [total.stated for total in trace.totals] == [3, 19] and trace.winner == "A"
    assert not consistency(trace)  # the verdict stays: it is what is asked for anew
    assert [row.seen for row in trace.rows] == [seen, seen]
    assert rescored(text, "image_generation", [(7, 4), (10, 1)]) == text


def test_true_scores_go_with_the_order_that_is_shown():
    for pair in PAIRS:
        for name, scores in true_scores(pair).items():
            assert true_scores(pair.swapped())[name] == scores[::-1]
    assert true_scores(replace(PAIRS[0], details={})) == {}
