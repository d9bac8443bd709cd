"""The measures of retrieval agree with another implementation, and nothing is silently zero."""

import math
import random

import numpy as np
import pytest
from sentence_transformers.multi_vector_encoder.evaluation import (
    MultiVectorInformationRetrievalEvaluator,
)

from tasks.benchmarks.retrieval import by_question, by_set, mean_ndcg, points_at, write_run
from tasks.records.pages import Question


def drawn(seed: int) -> tuple[list[Question], dict[str, dict[str, float]]]:
    rng = random.Random(seed)
    pages = [f"p{n}" for n in range(rng.randint(6, 30))]
    questions = [
        Question(str(n), "?", {p: 1 for p in rng.sample(pages, rng.randint(1, 4))},
                 rng.choice("ab"))
        for n in range(rng.randint(1, 6))
    ]  # fmt: skip
    run = {q.id: {p: rng.random() for p in pages} for q in questions}
    return questions, run


def by_hand(question: Question, scores: dict[str, float], k: int) -> float:
    ranked = sorted(scores, key=lambda page: (scores[page], page), reverse=True)[:k]
    gain = sum(question.relevant.get(p, 0) / math.log2(r + 2) for r, p in enumerate(ranked))
    ideal = sorted(question.relevant.values(), reverse=True)[:k]
    return gain / sum(grade / math.log2(r + 2) for r, grade in enumerate(ideal))


def test_ndcg_and_recall_are_those_of_trec_eval_by_hand_and_of_sentence_transformers():
    for seed in range(300):
        questions, run = drawn(seed)
        found = by_question(questions, run)
        for question in questions:
            scores = run[question.id]
            assert found[question.id]["ndcg@5"] == pytest.approx(by_hand(question, scores, 5))
            best = sorted(scores, key=scores.get, reverse=True)[:5]
            hit = sum(page in question.relevant for page in best)
            assert found[question.id]["recall@5"] == pytest.approx(hit / len(question.relevant))
        theirs = MultiVectorInformationRetrievalEvaluator(
            {q.id: q.text for q in questions}, {page: "" for page in run["0"]},
            {q.id: set(q.relevant) for q in questions}, ndcg_at_k=[5], precision_recall_at_k=[1, 5],
        )  # fmt: skip
        told = theirs.compute_metrics([
            [{"corpus_id": page, "score": score} for page, score in run[id].items()]
            for id in theirs.queries_ids
        ])  # fmt: skip
        ours = [found[id] for id in theirs.queries_ids]
        assert told["ndcg@k"][5] == pytest.approx(np.mean([row["ndcg@5"] for row in ours]))
        assert told["recall@k"][1] == pytest.approx(np.mean([row["recall@1"] for row in ours]))


def test_of_equal_scores_the_later_name_comes_first_and_grades_count():
    question = Question("1", "?", {"a": 1, "b": 3})
    equal = by_question([question], {"1": {"a": 1.0, "b": 1.0, "c": 1.0}})["1"]
    ideal = 3 + 1 / math.log2(3)
    assert equal["ndcg@5"] == pytest.approx((3 / math.log2(3) + 1 / 2) / ideal)


def test_means_are_of_questions_then_of_sets():
    questions = [Question(str(n), "?", {"a": 1}, "x" if n < 3 else "y") for n in range(4)]
    run = {str(n): {"a": 1.0 if n < 3 else 0.0, "b": 0.5} for n in range(4)}
    table = by_set(questions, by_question(questions, run), 50)
    assert table["x"]["ndcg@5"]["mean"] == 1 and table["y"]["recall@1"]["mean"] == 0
    assert table[""]["recall@1"] == 0.5 and table["x"]["n"] == 3
    assert mean_ndcg(questions, run) == pytest.approx((3 + 1 / math.log2(3)) / 4)


def test_a_question_without_a_page_is_an_error_and_one_that_was_not_asked_a_zero():
    with pytest.raises(ValueError, match="no page is relevant to 7"):
        by_question([Question("7", "?", {})], {})
    assert by_question([Question("7", "?", {"a": 1})], {})["7"]["ndcg@5"] == 0


def test_pointing_is_a_cell_that_touches_a_true_box():
    warm = np.zeros((3, 4))
    warm[1, 2] = 1
    assert points_at(warm, (400, 300), [[210, 120, 230, 130]]) is True
    assert points_at(warm, (400, 300), [[0, 0, 50, 50], [310, 220, 390, 290]]) is False
    assert points_at(warm, (400, 300), []) is None


def test_runs_are_written_for_trec_eval(tmp_path):
    write_run(tmp_path / "run.txt", {"q 1": {"a#1": 0.5, "b c": 0.7}}, "ours", most=5)
    assert (tmp_path / "run.txt").read_text() == (
        "q_1 Q0 b_c 1 0.700000 ours\nq_1 Q0 a#1 2 0.500000 ours\n"
    )
