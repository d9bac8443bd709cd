"""Questions about charts, tables, receipts and report pages; see `questions.py`."""

import random
from collections import Counter

from tasks.prompts import prompt as words
from tasks.world.pictures import Fact, Picture
from tasks.world.wording import Question, corners


def read_box(rng: random.Random, page: Picture) -> Question:
    fact = rng.choice([*page.facts, *page.texts.values()])
    return Question("read_box", f"Read the text in the box {corners(fact.box)}.", fact.text)


def locate(rng: random.Random, page: Picture) -> Question | None:
    """Ask where a text stands; only texts that occur once."""
    everything = [*page.facts, *page.texts.values()]
    seen = Counter(fact.text for fact in everything)
    single = [fact for fact in everything if seen[fact.text] == 1]
    if not single:
        return None
    fact = rng.choice(single)
    prompt = words("ground/locate_text", text=fact.text)
    return Question("locate", prompt, corners(fact.box), boxes=[fact.box], label=fact.text)


def value(rng: random.Random, page: Picture) -> Question:
    return value_of(page, rng.choice(page.facts))


def value_of(page: Picture, fact: Fact) -> Question:
    return Question(f"{_family(page)}_value", _ask_value(page, fact), fact.text)


def value_with_boxes(rng: random.Random, page: Picture) -> Question:
    fact = rng.choice(page.facts)
    return _reasoned(page, _ask_value(page, fact), [fact], fact.text)


def difference_with_boxes(rng: random.Random, page: Picture) -> Question | None:
    if page.kind not in ("chart", "report"):
        return None
    a, b = rng.sample(page.facts, 2)
    high, low = sorted((a, b), key=lambda f: int(f.text), reverse=True)
    prompt = f"What is the difference between {a.keys[0]} and {b.keys[0]}?"
    result = str(int(high.text) - int(low.text))
    return _reasoned(page, prompt, [high, low], result, f", {high.text} - {low.text}")


def largest_with_boxes(rng: random.Random, page: Picture) -> Question | None:
    if page.kind not in ("chart", "report"):
        return None
    values = [int(f.text) for f in page.facts]
    if values.count(max(values)) > 1:
        return None
    best = max(page.facts, key=lambda f: int(f.text))
    return _reasoned(page, "Which bar is the highest?", [best], best.keys[0])


def largest(rng: random.Random, page: Picture) -> Question | None:
    asked = largest_with_boxes(rng, page)
    return asked and Question("chart_largest", "Which bar is the highest?", asked.final)


def bar_color(rng: random.Random, page: Picture) -> Question | None:
    if page.kind not in ("chart", "report"):
        return None
    fact = rng.choice(page.facts)
    return Question("bar_color", f"What color is bar {fact.keys[0]}?", fact.color)


def list_values(rng: random.Random, page: Picture) -> Question:
    if page.kind == "table":
        column = rng.choice(page.facts).keys[1]
        cells = [f for f in page.facts if f.keys[1] == column]
        answer = ", ".join(f"{f.keys[0]} {f.text}" for f in cells)
        return Question("transcribe", f"Read column {column}.", answer)
    answer = ", ".join(f"{f.keys[0]} {f.text}" for f in page.facts)
    return Question("transcribe", "Read all values.", answer)


def named_text(rng: random.Random, page: Picture) -> Question | None:
    if page.kind != "report":
        return None
    if rng.random() < 0.5:
        return Question("title", "What is the title?", page.texts["title"].text)
    return Question("text_line", "Read the text line.", page.texts["line"].text)


def read_crop(rng: random.Random, page: Picture) -> Question:
    return Question("read_crop", words("ground/read_crop"), page.facts[0].text)


def _family(page: Picture) -> str:
    return "chart" if page.kind == "report" else page.kind


def _ask_value(page: Picture, fact: Fact) -> str:
    match page.kind:
        case "table":
            return f"What is {fact.keys[1]} for {fact.keys[0]}?"
        case "receipt" if fact.keys[0] == "Total":
            return "What is the total?"
        case "receipt":
            return f"How much is the {fact.keys[0]}?"
        case _:
            return f"What is the value of {fact.keys[0]}?"


def _reasoned(
    page: Picture, prompt: str, facts: list[Fact], final: str, working: str = ""
) -> Question:
    steps = ", ".join(f"{' '.join(f.keys)} is {f.text} {corners(f.box)}" for f in facts)
    return Question(
        f"{_family(page)}_reasoned",
        words("ground/think_with_boxes", question=prompt),
        f"<think>{steps}{working}</think><answer>{final}</answer>",
        boxes=[f.box for f in facts],
        final=final,
        details={"facts": [[" ".join(f.keys), f.text] for f in facts]},
    )
