"""A teacher's traces are learnt from iff their verdict is the label, and tables keep them whole."""

from dataclasses import replace

from tasks.asking.conversation import Answer
from tasks.judging.rejection import KeptTrace, sift
from tasks.judging.teaching import right_traces, told_traces
from tasks.judging.thinking import thought_of
from tasks.judging.trace_table import read_traces, write_traces
from tasks.judging.yields import yield_by
from tasks.world.thinking import make_pair

PAIRS = [make_pair(0, "train", task, i) for task in ("image_generation", "image_understanding")
         for i in range(40)]  # fmt: skip


def test_traces_of_the_data_are_kept_iff_they_name_the_label():
    kept, dropped = right_traces(told_traces(PAIRS))
    assert len(kept) + dropped.total() == len(PAIRS) and dropped["another winner"] > 0
    for trace in kept:
        assert not trace.turned and trace.shown == trace.pair
        winner = thought_of(Answer(trace.text, 0), trace.pair.task, False).winner
        assert winner == trace.pair.winner


def test_what_is_no_trace_is_dropped_with_its_reason():
    refuses = replace(PAIRS[0], details={"trace": "I cannot help with that."})
    cut = replace(PAIRS[0], details={"trace": "<think>1. Colors: Image 1"})
    other = replace(PAIRS[0], task="image_understanding", responses=("a", "b"))
    kept, dropped = right_traces(told_traces([refuses, cut, other, replace(cut, details={})]))
    assert not kept and dropped.total() == 3
    assert {"cut off", "not one thought and one answer"} <= dropped.keys()
    assert any("verdict is none of Answer 1" in reason for reason in dropped)


def test_a_table_keeps_traces_in_the_order_that_was_shown(tmp_path):
    traces = [KeptTrace(pair, bool(n % 2), f"trace {n}") for n, pair in enumerate(PAIRS)]
    write_traces(traces, tmp_path / "traces.parquet")
    assert read_traces(tmp_path / "traces.parquet", PAIRS) == traces


def test_a_pair_turned_round_keeps_what_belongs_to_each_candidate():
    for pair in PAIRS:
        turned = pair.swapped()
        assert turned.details["cells"] == pair.details["cells"][::-1]
        assert turned.details["seen"] == pair.details["seen"][::-1]
        assert "trace" not in turned.details and "trace" in pair.details


def test_a_yield_counts_every_trace_once_for_all_that_pairs_have_in_common():
    thoughts = [
        tuple([thought_of(Answer(order.details.get("trace", ""), 0), pair.task, turned)] * 2
              for order, turned in ((pair, False), (pair.swapped(), True)))
        for pair in PAIRS
    ]  # fmt: skip
    kept = sift(PAIRS, thoughts, agreeing=False).kept
    found = yield_by(PAIRS, thoughts, kept)
    assert found.keys() == {"source", "task", "order", "margin"}
    for rows in found.values():
        assert sum(written for written, *_ in rows.values()) == 4 * len(PAIRS)
        assert sum(n for *_, n in rows.values()) == len(kept)
    assert found["order"]["turned"][1] == 0  # nothing was said of the other order
