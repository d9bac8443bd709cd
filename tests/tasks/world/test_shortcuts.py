"""Questions with a way around looking: what follows from what, how often a shortcut is right."""

import random
from collections import Counter

import pytest

from tasks.prompts import prompt
from tasks.records.rows import read_samples
from tasks.world.drawing import split_of
from tasks.world.guessing import (
    CAPTIONS,
    REFUSAL,
    UNKNOWN,
    ask_about,
    bear_witness,
    caption_first,
    decided,
    faulty,
    lacking,
    plain,
)
from tasks.world.shortcuts import (
    KINDS,
    RELIABLE,
    SETS,
    USUAL,
    answer_from,
    draw_puzzle,
    make_question,
    with_guess,
    write_shortcuts,
)

PUZZLES = [draw_puzzle(random.Random(n), KINDS[n % 3], "train") for n in range(300)]


def test_the_answer_follows_from_a_whole_caption_and_not_from_one_that_lacks_it():
    for n, puzzle in enumerate(PUZZLES):
        assert answer_from(puzzle, puzzle.facts) == puzzle.answer in puzzle.values
        assert puzzle.answer not in puzzle.others and len(puzzle.others) == len(puzzle.values) - 1
        assert answer_from(puzzle, lacking(random.Random(n), puzzle)) is None
        assert answer_from(puzzle, ()) is None
        assert split_of(puzzle.picture.content) == "train"
    answers = {kind: Counter(p.answer for p in PUZZLES if p.kind == kind) for kind in KINDS}
    assert 0.35 < answers["above"]["yes"] / answers["above"].total() < 0.65
    assert len(answers["price"]) > 15 and len(answers["sizes"]) > 3


def test_captions_have_the_faults_of_their_form():
    for n, puzzle in enumerate(PUZZLES):
        said = {form: faulty(random.Random(n), puzzle, form) for form in CAPTIONS}
        assert said["whole"] == puzzle.facts
        assert len(said["left out"]) == max(1, len(puzzle.facts) - 1)
        assert len(said["one"]) == 1 and set(said["one"]) <= set(puzzle.facts)
        wrong = [one for one in said["misread"] if one not in puzzle.facts]
        assert len(said["misread"]) == len(puzzle.facts) and len(wrong) <= 1
    misread = [faulty(random.Random(n), p, "misread") != p.facts for n, p in enumerate(PUZZLES)]
    assert sum(misread) > 0.9 * len(PUZZLES)


def test_an_answer_follows_what_was_seen_as_often_in_both_grammars():
    """Of what is decided: seen .55, guess .25, made up .20 where there is a guess."""
    puzzle, counts = PUZZLES[0], Counter()
    guess = puzzle.others[0]
    for n in range(4000):
        counts[decided(random.Random(n), puzzle, puzzle.answer, guess)] += 1
    assert counts[puzzle.answer] / 4000 == pytest.approx(0.55, abs=0.03)
    assert counts[guess] / 4000 == pytest.approx(0.25 + 0.2 / len(puzzle.others), abs=0.03)
    alone = Counter(decided(random.Random(n), puzzle, puzzle.answer, "") for n in range(4000))
    assert alone[puzzle.answer] / 4000 == pytest.approx(0.55 / 0.75, abs=0.03)


def test_the_grammars_are_kept_three_times_of_four_and_guesses_tell_nothing():
    kept: Counter[str] = Counter()
    right = Counter()
    for n in range(900):
        puzzle = PUZZLES[n % len(PUZZLES)]
        for make, tag in ((plain, "<think>"), (caption_first, "<info>")):
            asked = make(random.Random(n), puzzle)
            whole = asked.answer.startswith(tag) and asked.answer.endswith("</answer>")
            kept[tag] += whole and asked.answer.count("</think>") == 1
            if puzzle.kind != "above" and "Guess: " in asked.prompt:
                guess = asked.prompt.split("Guess: ")[1].split(".")[0]
                right[guess == puzzle.answer] += 1
    assert all(0.7 < number / 900 < 0.8 for number in kept.values())
    assert right[True] / right.total() < 0.2  # one of 24 prices, or of six numbers


def test_a_witness_answers_what_follows_and_refuses_what_was_inferred():
    replies: Counter[str] = Counter()
    for n in range(60):
        pictures, asked = bear_witness(random.Random(n), 9)
        assert not pictures
        for one in asked:
            text = one.prompt.split("Text: ")[1]
            inferred = any(sign in text for sign in ("So it", "The answer", "Therefore", "Answer:"))
            assert (one.answer == REFUSAL) == inferred
            replies[one.answer if one.answer in (REFUSAL, UNKNOWN) else "answered"] += 1
            if not text:
                assert one.answer == UNKNOWN
    shares = {name: number / replies.total() for name, number in replies.items()}
    assert shares["answered"] > 0.35 and shares[UNKNOWN] > 0.2 and shares[REFUSAL] > 0.2


def test_a_picture_is_asked_about_in_both_grammars():
    [picture], asked = ask_about(random.Random(3), "price", 9)
    heads = [prompt(f"reason/{name}", question="").strip() for name in ("plain", "caption_first")]
    assert {head for one in asked for head in heads if one.prompt.endswith(head)} == set(heads)
    assert picture.kind == "receipt" and len({one.prompt for one in asked}) == len(asked)


def test_the_worlds_have_the_shortcut_where_they_say_it(tmp_path):
    sizes = {"train": 240, "dev": 30, "test": 60}
    for shortcut, sets in SETS.items():
        folder = tmp_path / shortcut
        number = write_shortcuts(folder, 0, shortcut, sizes)
        assert number == 240 + 30 + 60 * len(sets)
        right = {}
        for name, split in (("train", "train"), *((one, "test") for one in sets)):
            some = [s for s in read_samples(folder, split) if s.label == name]
            right[name] = sum(s.details["cue_right"] for s in some) / len(some)
            for sample in some:
                details = sample.details
                assert details["cue_right"] == (details["cue"] == sample.answer)
                guess = details["cue"] if shortcut == "guess" else ""
                assert sample.prompt == with_guess(details["question"], guess)
                assert not (shortcut == "prior" and "Guess" in sample.prompt)
        assert abs(right["train"] - RELIABLE) < 0.06 and right["usual"] > 0.75
        assert right["wrong"] == 0 and right["chance"] < 0.5 and not right.get("absent")


def test_a_question_is_a_function_of_its_place():
    one, other = (make_question(3, "prior", "usual", "test", 4) for _ in range(2))
    assert one == other != make_question(4, "prior", "usual", "test", 4)
    assert one.details["cue"] == USUAL[one.details["kind"]]
