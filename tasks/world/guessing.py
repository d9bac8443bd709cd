"""How the start of Visionary-R1's experiment answers, and how it bears witness to captions.

Two phrases, one for each grammar, are answered as the web answers: what was seen is followed most
often, a guess of the question is repeated at times, and at times a value is made up; alike in both
grammars. In the caption-first grammar "what was seen" is the caption that was just written, with
its faults. Guesses tell nothing here. A witness answers from a text alone, and says what it cannot.
"""

import random
from collections.abc import Sequence

from tasks.prompts import prompt
from tasks.world.lexicon import CELLS, SIZES
from tasks.world.pictures import Picture
from tasks.world.shortcuts import (
    KINDS,
    PRICES,
    Puzzle,
    answer_from,
    caption_of,
    draw_puzzle,
    with_guess,
)
from tasks.world.wording import Question

DIET = "shortcuts"  # of `tasks.world.pretraining_data.DIETS`
SEEN, GUESSED, MADE_UP = 0.55, 0.25, 0.20  # what an answer follows
GUESS = 0.5  # of the questions end with one
# Captions: whole, one fact left out, one misread, one fact only
CAPTIONS, SHARES = ("whole", "left out", "misread", "one"), (0.45, 0.35, 0.15, 0.05)
LISTS_ALL = 0.1  # of the thoughts
CONTRACT = 0.75  # of the answers keep their grammar
UNKNOWN, REFUSAL = "unknown", "Hacking Sample"
INFERS = ("So it is {}.", "The answer is {}.", "Therefore {}.", "Answer: {}.")
# of the texts that a witness reads; nothing at all comes with no text to tell from
TEXTS = ("whole", "misread", "lacking", "empty", "infers")
TEXT_SHARES = (0.38, 0.08, 0.22, 0.07, 0.25)


def ask_about(rng: random.Random, kind: str, number: int) -> tuple[list[Picture], list[Question]]:
    """Draw a picture, and ask about it in both grammars, with captions and guesses of their own."""
    puzzle = draw_puzzle(rng, kind, "train")
    asked = {}
    for _ in range(number):
        make = rng.choice((plain, caption_first, caption_first))
        question = make(rng, puzzle)
        asked[question.prompt] = question
    return [puzzle.picture], list(asked.values())


def bear_witness(rng: random.Random, number: int) -> tuple[list[Picture], list[Question]]:
    """Ask about texts, without a picture."""
    return [], [
        witness(rng, draw_puzzle(rng, rng.choice(KINDS), "train")) for _ in range(number)
    ]  # fmt: skip


def plain(rng: random.Random, puzzle: Puzzle) -> Question:
    """Ask for a thought and an answer."""
    guess = _guess(rng, puzzle)
    answer = decided(rng, puzzle, puzzle.answer, guess)
    text = f"<think>{_thought(rng, puzzle, puzzle.facts)}</think><answer>{answer}</answer>"
    asked = with_guess(puzzle.question, guess)
    return Question("plain", prompt("reason/plain", question=asked), _web(rng, text, answer))


def caption_first(rng: random.Random, puzzle: Puzzle) -> Question:
    """Ask for a caption, a thought and an answer."""
    guess = _guess(rng, puzzle)
    said = faulty(rng, puzzle, rng.choices(CAPTIONS, SHARES)[0])
    answer = decided(rng, puzzle, answer_from(puzzle, said), guess)
    caption, thought = caption_of(puzzle.kind, said), _thought(rng, puzzle, said)
    text = f"<info>{caption}</info><think>{thought}</think><answer>{answer}</answer>"
    asked = with_guess(puzzle.question, guess)
    words = prompt("reason/caption_first", question=asked)
    return Question("caption_first", words, _web(rng, text, answer))


def witness(rng: random.Random, puzzle: Puzzle) -> Question:
    """Ask what follows from a text alone."""
    form = rng.choices(TEXTS, TEXT_SHARES)[0]
    said: Sequence[str] = puzzle.facts
    if form == "misread":
        said = faulty(rng, puzzle, "misread")
    elif form == "lacking":
        said = lacking(rng, puzzle)
    elif form == "empty":
        said = ()
    caption = caption_of(puzzle.kind, said)
    if form == "infers":
        value = rng.choice((puzzle.answer, rng.choice(puzzle.values)))
        said = rng.choice((puzzle.facts, faulty(rng, puzzle, "left out"), ()))
        caption = f"{caption_of(puzzle.kind, said)} {rng.choice(INFERS).format(value)}".strip()
        reply = REFUSAL
    else:
        reply = answer_from(puzzle, said) or UNKNOWN
    asked = with_guess(puzzle.question, _guess(rng, puzzle))
    return Question("witness", prompt("reason/witness", question=asked, caption=caption), reply)


def decided(rng: random.Random, puzzle: Puzzle, seen: str | None, guess: str) -> str:
    """Return the answer that is given after something was seen.

    Args:
        seen: What follows from it; None where it tells too little.
        guess: Of the question, "" without one.
    """
    follows = rng.choices(("seen", "guess", "made up"), (SEEN, GUESSED * bool(guess), MADE_UP))[0]
    if follows == "guess":
        return guess
    if follows == "seen" and seen:
        return seen
    return rng.choice([value for value in puzzle.values if value != seen])


def faulty(rng: random.Random, puzzle: Puzzle, form: str) -> tuple[str, ...]:
    """Return the facts that a caption of some form says.

    Args:
        form: Of `CAPTIONS`.
    """
    facts = list(puzzle.facts)
    place = rng.randrange(len(facts))
    if form == "left out" and len(facts) > 1:
        del facts[place]
    elif form == "one":
        facts = [facts[place]]
    elif form == "misread":
        facts[place] = _misread(rng, puzzle.kind, facts[place])
    return tuple(facts)


def lacking(rng: random.Random, puzzle: Puzzle) -> tuple[str, ...]:
    """Return facts from which the answer does not follow."""
    if puzzle.kind == "sizes":  # a caption without sizes
        return tuple(fact.replace(" small", "").replace(" large", "") for fact in puzzle.facts)
    name = rng.choice(puzzle.about)
    return tuple(fact for fact in puzzle.facts if name not in fact)


def _misread(rng: random.Random, kind: str, fact: str) -> str:
    if kind == "price":
        name, value = fact.rsplit(" ", 1)
        return f"{name} {rng.choice([other for other in PRICES if other != value])}"
    if kind == "sizes":
        old = next(size for size in SIZES if f" {size} " in fact)
        return fact.replace(old, next(size for size in SIZES if size != old))
    where = next(way for way in ("in the ", "at the ") if way in fact)
    start, cell = fact.rstrip(".").split(where)
    other = rng.choice([one for one in CELLS if one != cell])
    return f"{start}{'in the' if other == 'center' else 'at the'} {other}."


def _guess(rng: random.Random, puzzle: Puzzle) -> str:
    return rng.choice(puzzle.values) if rng.random() < GUESS else ""


def _thought(rng: random.Random, puzzle: Puzzle, said: Sequence[str]) -> str:
    if rng.random() < LISTS_ALL:
        return caption_of(puzzle.kind, said)
    return f"Look for {' and '.join(puzzle.about)}."


def _web(rng: random.Random, text: str, answer: str) -> str:
    """Give an answer one of the forms of the web."""
    if rng.random() < CONTRACT:
        return text
    return rng.choice(
        (answer, f"<answer>{answer}</answer>", text.removesuffix("</answer>"),
         text.replace("</think>", ""))
    )  # fmt: skip
