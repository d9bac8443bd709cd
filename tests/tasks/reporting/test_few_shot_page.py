"""The few-shot page shows every kept answer with its boxes, its rewards and its signs."""

import json
import re
from pathlib import Path

import pytest

from tasks.asking.coordinates import Coordinates
from tasks.benchmarks.perception import score_row
from tasks.benchmarks.visual_rft import before_and_after
from tasks.questions import score
from tasks.records.rows import REJECTED, write_summary, write_table
from tasks.reporting.few_shot_page import (
    _boxes,
    rollout_groups,
    sign_table,
    write_few_shot_page,
)
from tasks.training.rollouts import ROLLOUTS
from tasks.world.shards import make_sample

FRAMES = Coordinates(100)
EVIL = "<script>alert(1)</script>"
STEPS = 20


def rollout(step: int, number: int, sample) -> dict:
    box = [10, 20, 30 + number, 60]
    signs = ["one_of_many"] if number == 1 else []
    return {
        "step": step, "group": 0, "question": sample.prompt, "frame": [100, 100],
        "images": [{"bytes": sample.images[0], "path": None}], "true": [[10, 20, 30, 60]],
        "reference": "", "answer": EVIL if number == 3 else f'[{{"bbox_2d": {box}}}]',
        "advantage": 1.5 - number, "signs": signs,
        "rewards": [
            {"name": "overlap_with_true_boxes", "value": 0.5, "weight": 2.0},
            {"name": "thinks_then_answers", "value": 1.0, "weight": 1.0},
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory, made) -> Path:
    root = tmp_path_factory.mktemp("few_shot")
    samples = [make_sample(0, "test", "find", number) for number in range(12)]
    right = {s.id: s.answer for s in samples}
    samples = [
        s.model_copy(update={"details": {"group": "tested" if i < 8 else "other"}, "answer": ""})
        for i, s in enumerate(samples)
    ]
    write_table(
        [rollout(step, number, samples[0]) for step in (10, 20) for number in range(4)],
        root / "rollouts.parquet", ROLLOUTS,
    )  # fmt: skip
    history = [
        {"train/reward": i / STEPS, "train/signs/one_of_many": i / STEPS} for i in range(STEPS)
    ]
    history[9]["dev/score"] = 0.25
    looks = {"kept": 10, "scores": {"0": 0.125, "10": 0.25, "20": 0.1875}}
    (root / "looks.json").write_text(json.dumps(looks))
    for stage, seconds in (("shots", 5.0), ("reinforced", 90.0)):
        cost = {"seconds": seconds, "peak_memory_gb": 1.5, "device_hours": seconds / 3600,
                "money": 0.25, "samples": 16, "tokens": 999}  # fmt: skip
        (root / "outputs" / "costs").mkdir(parents=True, exist_ok=True)
        (root / "outputs" / "costs" / f"{stage}.json").write_text(json.dumps(cost))
    rejected = [{"id": f"bad:{i}", "reason": "box outside the picture", "source": "data"}
                for i in range(7)]  # fmt: skip
    write_table(rejected, root / "rejected.parquet", REJECTED)
    (root / "history.json").write_text(json.dumps(history))
    found = {"greedy": 0.2, "best_of": 0.21, "zero_variance": 0.9, "warning": "little to elicit"}
    (root / "headroom.json").write_text(json.dumps(found))
    write_summary(
        root, read=30, kept=23, set_aside={"box outside the picture": 7},
        train=4, dev=2, tested=8, classes=3, classes_tested=3, short_classes={"red star": 1},
        fewer={"shots.test": [320, 8]},
    )  # fmt: skip
    results = {
        name: [(text, score(s, text, (100, 100))) for s in samples for text in [answer(s)]]
        for name, answer in (("start", lambda s: "none"), ("adapted", lambda s: right[s.id]))
    }
    table = before_and_after(
        samples, results["start"], results["adapted"], FRAMES, resamples=100, seed=0
    )
    rows = {
        name: [score_row(s, *held) for s, held in zip(samples, found, strict=True)]
        for name, found in results.items()
    }
    write_few_shot_page(
        root, table, samples, rows,
        adapted=root, shots=root, root=root, coordinates=FRAMES, made=made,
    )  # fmt: skip
    return root


@pytest.fixture(scope="module")
def page(folder) -> str:
    return (folder / "index.html").read_text()


def test_every_kept_answer_is_shown_with_its_step(page):
    assert page.count('class="rollout answer') == 8
    assert re.findall(r'<div class="card group" data-step="(\d+)"', page) == ["10", "20"]


def test_what_was_adjusted_and_what_could_not_be_met_is_said(page):
    assert "shots.test is 320, there were 8" in page
    assert page.count(", Holm p") == 4 and "seen from" in page  # score and AP, of both groups


def test_boxes_are_drawn_in_the_pixels_of_the_picture(folder):
    first = rollout_groups(folder / "rollouts.parquet")[0]
    [true], [predicted] = first.true, first.answers[0].boxes
    assert (true.x, true.y, true.width, true.height) == pytest.approx((9.6, 19.2, 19.2, 38.4))
    assert predicted == type(true)(true.x, true.y, true.width, true.height, "predicted")
    assert first.answers[2].boxes[0].width == pytest.approx(0.96 * 22)


def test_the_bar_of_an_answer_shows_each_rewards_share_of_the_most(page):
    assert page.count('style="width:33.3%" title="overlap with true boxes 0.50 × 2.0"') == 8
    assert page.count('title="thinks then answers 1.00 × 1.0"') == 8


def test_signs_stand_at_their_answers_and_in_the_table(page, folder):
    assert page.count('<span class="chip worse">one of many</span>') == 2
    [(name, cells)] = sign_table(json.loads((folder / "history.json").read_text()))
    assert name == "one_of_many" and [title for title, _ in cells][:2] == ["1–2", "3–4"]
    assert cells[-1][1] == pytest.approx((18 + 19) / 2 / STEPS)


def test_what_a_model_writes_stays_text(page):
    assert EVIL not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_probe_and_short_classes_are_told(page):
    assert "little to elicit" in page and "red star (1)" in page and "90.0 %" in page


def test_nothing_comes_from_outside(page):
    asked = re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', page)
    assert len(asked) == 2 and all(a.startswith("http://127.0.0.1:") for a in asked)


def test_fine_tuning_has_no_rollouts_and_says_so(folder, tmp_path):
    assert rollout_groups(tmp_path / "rollouts.parquet") == [] and sign_table([]) == []


@pytest.mark.parametrize(
    ("text", "corners"),
    [
        ("<answer>(10,20),(30,40)</answer>", [[10, 20, 30, 40]]),
        ("<answer>( 1.2 , 2 ), (3, 4)</answer>", [[1, 2, 3, 4]]),
        ("[10, 20, 30, 40] and (1,2),(3,4)", [[10, 20, 30, 40], [1, 2, 3, 4]]),
        ("(30,40),(10,20)", []),  # corners in the wrong order are no box
        ("(1,2)", []),
    ],
)
def test_boxes_are_drawn_in_every_form_that_a_prompt_asks_for(text, corners):
    assert [box.corners() for box in _boxes(text, (100, 100))] == corners


def test_looks_begin_at_step_0_and_the_kept_one_is_named(page):
    told = page[page.index('class="soft looks"') : page.index("</p>", page.index("soft looks"))]
    assert re.findall(r'([\d.]+) <span class="range">\((\d+)\)', told) == [
        ("0.12", "0"), ("0.25", "10"), ("0.19", "20")
    ]  # fmt: skip
    assert re.findall(r'class="look kept">([\d.]+)', told) == ["0.25"]
    assert "Kept is step <b>10</b>" in told


def test_a_question_with_boxes_only_names_them_as_its_reference(page):
    assert page.count("true box") > 12 and "empty answer</div>" not in page


def test_costs_are_those_of_the_stages_behind_the_page(page):
    cost = page[page.index('id="cost"') :]
    assert re.search(r"shots</td><td class=\"n\">5 s", cost)
    assert re.search(r"total</td><td class=\"n\">1 min 35 s", cost) and "0.50" in cost
