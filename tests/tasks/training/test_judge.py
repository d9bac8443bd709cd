"""What a judge is taught: the verdict goes with the order, and nothing else is learnt."""

import pytest

from tasks.judging.verdicts import pair_winner, right_winner
from tasks.judging.wording import verdict
from tasks.records.judgements import STYLES, TASKS, TIE, Judgement
from tasks.training.conversations import conversation_dataset
from tasks.training.judge import chosen, looked_at, taught
from tasks.training.objective import build_trainer
from tasks.training.plan import Plan
from tasks.training.sft import Sft
from tasks.world.shards import make_sample


def pairs(number: int, **changed) -> list[Judgement]:
    """Pairs whose better answer is always called good."""
    fields = {"prompt": "Which?", "media": (), "responses": ("good", "bad"), "winner": "A"}
    return [Judgement(str(i), **fields | changed) for i in range(number)]


def test_the_verdict_goes_with_the_order_that_is_drawn():
    rows = taught(pairs(200), seed=0)
    first = [text.index("good") < text.index("bad") for text, *_ in rows]
    said = [pair_winner(answer, "image_understanding") == "A" for _, answer, _ in rows]
    assert first == said and 70 < sum(first) < 130


def test_pictures_of_candidates_go_with_the_order_as_well():
    media = (b"good1", b"good2", b"bad1", b"bad2")
    rows = taught(pairs(50, task="video_generation", responses=(), media=media), seed=1)
    for _, answer, shown in rows:
        better = shown[:2] if pair_winner(answer, "video_generation") == "A" else shown[2:]
        assert better == media[:2]


def test_a_verdict_with_reasons_keeps_its_order_as_they_name_the_answers():
    rows = taught(pairs(40, reasons="Answer 1 is right."), seed=0)
    assert {answer for _, answer, _ in rows} == {
        "Answer 1 is right.\nOverall Judgment: Answer 1 is better"
    }


def test_what_cannot_be_taught_is_counted_and_every_kind_that_is_wanted_is_among_the_chosen():
    judgements = [
        Judgement(f"{task}{style}{i}", "?", (b"a", b"b"), task=task, style=style,
                  winner="A" if style == "pair" else "", score=5.0 if style == "point" else None)
        for task in TASKS for style in STYLES for i in range(5)
    ]  # fmt: skip
    judgements += [*pairs(3, winner=TIE), *pairs(2, winner="")]
    judgements.append(Judgement("x", "?", (), ("a",), style="point"))
    kept, left = chosen(judgements, TASKS, STYLES, per_task=2)
    assert {(j.task, j.style) for j in kept} == {(t, s) for t in TASKS for s in STYLES}
    assert len(kept) == 16 and sum(left.values()) + len(kept) == len(judgements)
    assert left["ties"] == 3 and left["without a winner"] == 2 and left["without a score"] == 1
    only, _ = chosen(judgements, TASKS[:1], STYLES[:1], per_task=0)
    assert {(j.task, j.style) for j in only} == {(TASKS[0], STYLES[0])}


def test_a_look_asks_every_pair_in_both_orders_and_pays_the_named_winner():
    looks = looked_at([*pairs(3), *pairs(1, winner=TIE)])
    assert len(looks) == 6 and sorted(looks["winner"]) == ["A"] * 3 + ["B"] * 3
    first = ["Answer 1 is better"] * 6
    assert sum(right_winner(first, looks["winner"], looks["judged"])) == 3
    assert looked_at([]) is None


@pytest.fixture(scope="module")
def trainer(model_folder, tmp_path_factory):
    scratch = str(tmp_path_factory.mktemp("scratch"))
    plan = Plan(
        model=model_folder, steps=1, batch=2, out=scratch, scratch=scratch, run_id="", seed=0,
        device="cpu",
    )  # fmt: skip
    judgements = [
        Judgement(str(i), "Which is it?", tuple(make_sample(0, "train", "tell", i).images),
                  ("A ring.", "A star.\nAnswer 2 is better"), winner="AB"[i % 2])
        for i in range(4)
    ]  # fmt: skip
    rows = taught(judgements, seed=0)
    return build_trainer(Sft(learning_rate=1e-4), plan, conversation_dataset(rows), None), rows


def test_the_loss_covers_the_verdict_and_no_token_of_the_prompt(trainer):
    built, rows = trainer
    tokenizer = built.processing_class.tokenizer
    for row, (_, answer, _) in zip(built.train_dataset, rows, strict=True):
        batch = built.data_collator([row])
        [labels], [tokens] = batch["labels"].tolist(), batch["input_ids"].tolist()
        covered = [i for i, label in enumerate(labels) if label != -100]
        assert covered == list(range(covered[0], covered[-1] + 1))  # one piece, at the end
        assert [labels[i] for i in covered] == [tokens[i] for i in covered]
        said = tokenizer.decode([labels[i] for i in covered])
        assert said.replace("<|im_end|>", "").strip() == answer
        # what stands before them is the prompt, and all of it
        before = tokenizer.decode(tokens[: covered[0]])
        assert before.endswith("<|im_start|>assistant\n") and "Which is it?" in before


def test_a_score_is_written_as_its_scale_has_it():
    point = Judgement(
        "1", "?", (b"png",), task="image_generation", style="point", score=4.5, scale=(1, 5)
    )
    assert verdict(point) == "Final Score: 4.5"
