"""A question that cannot be asked is wrong, counted, and never a win, wherever it was asked."""

import pytest
from PIL import Image

from tasks.asking.asker import Asker
from tasks.asking.coordinates import Coordinates
from tasks.asking.turns import open_asker
from tasks.benchmarks.headroom import headroom
from tasks.benchmarks.judging import measure_judge
from tasks.benchmarks.perception import benchmark, by_task, score_row
from tasks.benchmarks.visual_rft import before_and_after, measures
from tasks.judging.judge import judge_pairs, score_points
from tasks.judging.preferences import build_preferences, report
from tasks.judging.sampling import sample_candidates
from tasks.records.images import to_png
from tasks.records.judgements import Judgement, judgement_of
from tasks.records.rows import Sample
from tasks.synthesis.captions import synthesize_captions
from tasks.synthesis.grounded_cot import synthesize_chains
from tasks.world.shards import make_sample

DRAWN = {"temperature": 1.0, "max_new_tokens": 4, "seed": 0}
REFUSED = to_png(Image.new("RGB", (2000, 1)))  # Qwen's processors take no side 200 times the other


@pytest.fixture
def asker(model_folder, tmp_path) -> Asker:
    return open_asker(model_folder, tmp_path / "asker", "cpu")


@pytest.fixture
def frames(asker) -> Coordinates:
    return Coordinates(0, asker.engine.processor)  # in pixels, which the processor is asked for


def pair_of(task: str, metric: str = "", **changed) -> list[Sample]:
    """An ordinary sample, and the same about a picture that the processor refuses."""
    sample = make_sample(0, "test", task, 0)
    sample = sample.model_copy(update=changed | ({"metric": metric} if metric else {}))
    odd = sample.model_copy(update={"id": "odd", "images": [REFUSED], "size": (2000, 1)})
    return [sample, odd]


@pytest.mark.parametrize("task", ["count", "caption", "ground", "find"])
def test_a_benchmark_scores_it_zero_and_says_why(asker, frames, task):
    samples = pair_of(task)
    results = benchmark(asker, samples, frames, 4, "asking")
    assert results[1][1].value == 0 and "the processor refuses it" in results[1][1].reason
    table = by_task(samples, results)
    assert [row["unanswered"] for row in table.values()] == [1]
    row = score_row(samples[1], *results[1])
    assert row["answer"] == "" and row["reason"].startswith("unanswered: ")
    assert "unanswered" not in by_task(samples[:1], results[:1])[samples[0].task]


def test_no_true_boxes_and_no_answer_is_not_right(asker, frames):
    samples = pair_of("find", "tagged_detections", corners=[])
    [_, (_, scored)] = benchmark(asker, samples, frames, 4, "asking")
    assert scored.value == 0 and dict(scored.parts) == {"f1_at_50": 0}


def test_the_measures_of_few_shot_count_it_without_asking_for_its_frame(asker, frames):
    samples = pair_of("find", "tagged_detections")
    results = benchmark(asker, samples, frames, 4, "asking")
    assert measures(samples, results, frames)["unanswered"] == 0.5
    found = before_and_after(samples, results, results, frames, 10, 0)
    assert [group["measures"]["start"]["unanswered"] for group in found.values()] == [0.5]


@pytest.mark.parametrize("metric", ["exact", "detections", "tagged_detections"])
def test_a_question_without_a_picture_is_scored_in_pixels_as_well(asker, frames, metric):
    sample = make_sample(0, "test", "text_only", 0).model_copy(update={"metric": metric})
    assert sample.size == (0, 0) and not sample.images
    [(text, scored)] = benchmark(asker, [sample], frames, 4, "asking")
    assert scored.value == 0 and measures([sample], [(text, scored)], frames)["score"] == 0


def test_headroom_counts_it(asker, frames):
    found = headroom(asker, pair_of("count"), coordinates=frames, answers=2, **DRAWN)
    assert found["unanswered"] == 1 and found["best_of"] <= 0.5


def test_synthesis_keeps_nothing_of_it(asker, frames):
    kept, report = synthesize_captions(asker, pair_of("caption"), attempts=2, **DRAWN)
    assert report["captions_unanswered"] == 1 and "odd" not in [sample.id for sample, _ in kept]
    chains, report = synthesize_chains(
        asker, pair_of("chart_value"), coordinates=frames, attempts=2, margin=0.2, **DRAWN
    )
    assert report["unanswered"] == 1 and "odd" not in [chain.sample.id for chain in chains]


def test_a_judge_that_cannot_be_asked_names_no_winner_and_no_score(asker):
    pair = Judgement("odd", "Which?", (REFUSED,), ("a", "b"))
    [verdict] = judge_pairs(asker, [pair])
    assert verdict.winner is None and not verdict.readable and not verdict.consistent
    assert verdict.preference is None and "refuses" in verdict.unjudged
    [point] = score_points(asker, [pair.alone(0)])
    assert point.written is None and point.expected is None and "refuses" in point.unjudged
    assert len(asker.unanswered) == 3


def test_preferences_count_what_neither_model_could_be_asked(asker, model_folder, tmp_path):
    judge = open_asker(model_folder, tmp_path / "judge", "cpu")
    groups = sample_candidates(asker, pair_of("tell"), candidates=2, **DRAWN)
    built = build_preferences(judge, groups)
    assert report(built)["unanswered"] == 1 and "odd" not in [p.of.id for p in built.kept]
    assert ["refuses" in reason for group, reason in built.dropped if group.id == "odd"] == [True]


def test_a_judge_that_cannot_be_asked_at_all_is_measured(asker):
    samples = [pair_of("judge_pair")[1], pair_of("judge_point")[1]]
    found = measure_judge(asker, [judgement_of(sample) for sample in samples], 1)
    assert found["unanswered"] == 5 and found["pair_accuracy"] == 0
    assert "score_correlation" not in found and found["unreadable"] == 1
