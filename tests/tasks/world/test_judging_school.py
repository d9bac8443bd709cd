"""The school of a judge: rows are those of traces, and no token changes a text of the base."""

import random

from models.vlm.loading import load_processor
from tasks.judging.thinking import asked_to_think
from tasks.judging.traces import rows_in, totals_in
from tasks.world.judge_tokens import add_fragments
from tasks.world.judging_school import NAMES, judged_answers, judged_images, totals
from tasks.world.shards import TASKS, make_sample
from tasks.world.thinking import make_pair


def test_the_base_reads_its_own_texts_as_before_and_a_trace_is_half_as_long():
    tokenizer = load_processor("outputs/base").tokenizer
    samples = [make_sample(0, "dev", task, i) for task in TASKS for i in range(5)]
    texts = [text for sample in samples for text in (sample.prompt, sample.answer)]
    pairs = [make_pair(0, "train", task, 0) for task in ("image_generation", "image_understanding")]
    told = [pair.details["trace"] for pair in pairs] + [asked_to_think(p)[0].text for p in pairs]
    before, long = (tokenizer(some)["input_ids"] for some in (texts, told))
    add_fragments(tokenizer)
    assert tokenizer(texts)["input_ids"] == before
    for short, whole in zip(tokenizer(told)["input_ids"], long, strict=True):
        assert len(short) < 0.6 * len(whole)
        assert tokenizer.decode(short) == tokenizer.decode(whole)


def test_rows_have_a_score_of_both_candidates_that_fits_what_is_seen():
    for n in range(40):
        rng = random.Random(n)
        for make, task in ((judged_images, "image_generation"),
                           (judged_answers, "image_understanding")):  # fmt: skip
            _, asked = make(rng)
            for question in (one for one in asked if one.task == "rows"):
                rows, broken = rows_in(question.answer, task)
                assert rows and not broken and {row.name for row in rows} <= set(NAMES)
                for row in rows:
                    for score, seen in zip(row.scores, row.seen, strict=True):
                        assert score == 10 - 3 * seen.count(" not ")
                assert "better" not in question.answer  # no verdict


def test_sums_are_right():
    for n in range(100):
        question = totals(random.Random(n))
        for line in question.answer.splitlines():
            if "=" in line:
                added, stated = line.rpartition(": ")[2].split("=")
                assert sum(map(int, added.split("+"))) == int(stated)
        if question.task == "totals":
            task = "image_generation" if "Image" in question.answer else "image_understanding"
            rows, _ = rows_in(question.prompt, task)
            found = totals_in(question.answer, task)
            for side, total in enumerate(found):
                assert total.addends == tuple(row.scores[side] for row in rows)
