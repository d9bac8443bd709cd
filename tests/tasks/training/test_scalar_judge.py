"""A judge with a head that answers with a number: trained on both sides, and asked as any judge."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from tasks.asking.turns import asking
from tasks.benchmarks.judge_sheet import judge_sheet
from tasks.judging.forms import ScalarJudge, scalar_judge
from tasks.judging.trust import Trust
from tasks.records.judgements import OTHER, STYLES, TASKS, TIE
from tasks.running.errors import UserError
from tasks.training.plan import Plan
from tasks.training.scalar_judge import both_sides, train_scalar_judge
from tasks.world.judging import make_judgement

JUDGED = [make_judgement(0, "train", task, style, i) for task in TASKS for style in STYLES
          for i in range(4)]  # fmt: skip
PAIRS = [j for j in JUDGED if j.style == "pair" and j.winner not in ("", TIE)]


def plan(model: str, folder, **more) -> Plan:
    return Plan(
        model=model, steps=2, batch=4, out=str(folder / "out"), scratch=str(folder / "scratch"),
        run_id="", seed=0, device="cpu", **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(model_folder, tmp_path_factory) -> str:
    to_be = plan(model_folder, tmp_path_factory.mktemp("scalar"), evaluate_every=1, evaluated=4)
    history = train_scalar_judge(PAIRS, to_be, 1e-3, dev=PAIRS[:4])
    assert len(history) == 2 and all("train/accuracy" in row for row in history)
    return to_be.out


def test_the_better_candidate_is_chosen_with_its_own_pictures():
    for pair, row in zip(PAIRS, both_sides(PAIRS), strict=True):
        place = "AB".index(pair.winner)
        for side, shown, name in ((place, "images", "chosen"),
                                  (1 - place, "rejected_images", "rejected")):  # fmt: skip
            assert len(row[shown]) == len(pair.sides[side])
            [turn] = row[name]
            assert all(text in turn["content"] for text in pair.responses[side : side + 1])
    # the order in which a pair stands says nothing
    assert both_sides(PAIRS)[:] == both_sides([pair.swapped() for pair in PAIRS])[:]


def test_a_number_does_not_know_the_other_candidate_and_both_orders_are_one(trained):
    with scalar_judge(trained, "cpu") as judge:
        straight = judge.pairs(PAIRS, "judging")
        turned = judge.pairs([pair.swapped() for pair in PAIRS], "judging")
    for one, other in zip(straight, turned, strict=True):
        assert one.preference == pytest.approx(1 - other.preference, abs=1e-5)
        assert one.consistent and OTHER[one.orders[0]] == other.orders[0]


def test_a_picture_and_its_text_both_count(trained):
    judge, [pair] = ScalarJudge(trained, "cpu"), [p for p in PAIRS if p.responses][:1]
    one, other = pair.alone(0), pair.alone(1)
    unseen = replace(one, media=())
    numbers = [p.written for p in judge.points([one, other, unseen, one], "scoring")]
    assert numbers[0] == pytest.approx(numbers[3], abs=1e-5)
    assert len({round(n, 5) for n in numbers}) == 3


def test_what_is_too_long_has_no_number_and_no_verdict(trained):
    judge = ScalarJudge(trained, "cpu")
    long = replace(PAIRS[0], responses=("very " * 20_000, "short"), task="image_understanding")
    verdict, sound = judge.pairs([long, PAIRS[1]], "judging")
    assert verdict.winner is None and "longer than the model's context" in verdict.unjudged
    assert sound.readable and not sound.unjudged


def test_its_sheet_has_the_measures_of_a_judge_that_writes(trained):
    judge = ScalarJudge(trained, "cpu")
    sheet = judge_sheet(judge, JUDGED, Trust(), per_task=3, controls=2)
    assert sheet.tasks.keys() == set(TASKS)
    for row in sheet.tasks.values():
        assert row["swap_consistency"] == 1 and row["unreadable"] == 0 and not row.get("cycles")
        assert row["repeated/tie"] == 1 and "score/distinct" in row
    assert all(item["preference"] is not None for item in sheet.items)


def test_an_adapter_trains_the_head_as_well_and_is_merged(model_folder, tmp_path):
    to_be = plan(model_folder, tmp_path, lora_rank=2)
    train_scalar_judge(PAIRS, to_be, 1e-2)
    weights = load_file(f"{to_be.out}/model.safetensors")
    assert not any("lora" in name or "modules_to_save" in name for name in weights)
    torch.manual_seed(0)
    judge = ScalarJudge(to_be.out, "cpu")
    assert judge.pairs(PAIRS[:2], "judging")[0].preference is not None


def test_it_is_no_model_to_ask_and_a_model_to_ask_is_no_scalar_judge(
    trained, model_folder, tmp_path
):
    with (
        pytest.raises(UserError, match="cannot be opened") as error,
        asking(trained, tmp_path, "cpu"),
    ):
        pass
    assert "scores, and writes nothing" in error.value.why
    with pytest.raises(UserError) as error:
        ScalarJudge(model_folder, "cpu")
    assert "no head that scores" in error.value.why
