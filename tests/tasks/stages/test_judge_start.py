"""What the stage measures, of one who knows all and of one who always says the same."""

import pytest

from tasks.asking.conversation import Answer
from tasks.judging.wording import asked, verdict
from tasks.records.judgements import STYLES, TASKS, TIE
from tasks.stages.world.judge_start import skill_scores, verdict_scores
from tasks.world.judging import make_judgement
from tasks.world.judging_questions import SKILLS, skill_sample


class Known:
    """Answers from a table, and "yes" where it has none."""

    def __init__(self, answers: dict[tuple, str]):
        self.answers = answers

    def ask(self, questions, alternatives=(), **how) -> list[list[Answer]]:
        texts = [self.answers.get((turn.text, turn.images), "yes") for [turn] in questions]
        return [
            [Answer(text, 1, tuple(0.0 if a == text else -9.0 for a in alternatives))]
            for text in texts
        ]


@pytest.fixture(scope="module")
def judgements():
    return [
        make_judgement(0, "dev", task, style, i)
        for task in TASKS for style in STYLES for i in range(4)
    ]  # fmt: skip


def test_right_verdicts_count_one_and_ties_do_not_count(judgements):
    pairs = [j for j in judgements if j.style == "pair" and j.winner != TIE]
    points = [j for j in judgements if j.style == "point"]
    known = {}
    for judgement in [*pairs, *(pair.swapped() for pair in pairs), *points]:
        [turn] = asked(judgement)
        known[turn.text, turn.images] = verdict(judgement)
    found = verdict_scores(Known(known), judgements)
    assert found == {f"{name}/{task}": 1.0 for name in ("verdicts", "scores") for task in TASKS}
    assert set(verdict_scores(Known({}), judgements).values()) == {0.0}


def test_each_skill_is_measured_by_its_own_questions():
    samples = [skill_sample(5, "dev", skill, i) for skill in SKILLS for i in range(2)]
    known = {(s.prompt, tuple(s.images)): s.answer for s in samples if s.task != "motion"}
    # of an answer with a colon the end counts, whatever was said before it
    known |= {asked: f"? {said}" for asked, said in known.items() if ": " in said}
    assert skill_scores(Known(known), 5, 2) == {skill: float(skill != "motion") for skill in SKILLS}
