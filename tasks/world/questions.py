"""Questions about a micro-world picture, with their true answers.

Every function takes the random generator and the picture and returns one `Question`, or None where
the picture does not allow it. Answers are balanced where a picture leaves a choice: the wanted
answer is drawn first and a question that has it is looked for afterwards.
"""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from tasks.prompts import prompt as words
from tasks.world.document_questions import (
    bar_color,
    difference_with_boxes,
    largest,
    largest_with_boxes,
    list_values,
    locate,
    named_text,
    read_box,
    read_crop,
    value,
    value_with_boxes,
)
from tasks.world.lexicon import CELLS, COLORS, ITEMS, SHAPES, SIZES, plural
from tasks.world.pictures import Picture, Shape
from tasks.world.wording import Question, capitalized, caption, corners, detections, sentence

# ---- scenes ----------------------------------------------------------------------------------


def describe(rng: random.Random, scene: Picture) -> Question:
    return Question("caption", CAPTION_PHRASES[0], caption(scene.shapes))


def tell(rng: random.Random, scene: Picture) -> Question:
    """Ask for a caption in the phrase that the base model answers carelessly."""
    return Question("tell", CAPTION_PHRASES[1], caption(scene.shapes))


def count(rng: random.Random, scene: Picture) -> Question:
    options = {"objects": len(scene.shapes)}
    options |= {plural(shape): _how_many(scene, shape=shape) for shape in SHAPES}
    options |= {f"{color} objects": _how_many(scene, color=color) for color in COLORS}
    for item in scene.shapes:
        both = _how_many(scene, color=item.color, shape=item.shape)
        options[f"{item.color} {plural(item.shape)}"] = both
    wanted = rng.choice(sorted(set(options.values())))
    things = rng.choice(sorted(k for k, v in options.items() if v == wanted))
    return Question("count", f"How many {things} are there?", str(wanted))


def count_sizes(rng: random.Random, scene: Picture) -> Question:
    """Count in a phrase that is held out of the base model's training."""
    size = rng.choice(SIZES)
    number = sum(item.size == size for item in scene.shapes)
    return Question("count_size", f"How many {size} objects are there?", str(number))


def attribute(rng: random.Random, scene: Picture) -> Question | None:
    shapes, colors = (Counter(getattr(s, k) for s in scene.shapes) for k in ("shape", "color"))
    kind = rng.choice(("color", "color", "shape", "size", "place"))
    if kind == "shape":
        single = [s for s in scene.shapes if colors[s.color] == 1]
    else:
        single = [s for s in scene.shapes if shapes[s.shape] == 1]
    if not single:
        return None
    item = rng.choice(single)
    prompt, answer = {
        "color": (f"What color is the {item.shape}?", item.color),
        "shape": (f"What shape is the {item.color} object?", item.shape),
        "size": (f"Is the {item.shape} small or large?", item.size),
        "place": (f"Where is the {item.shape}?", item.cell),
    }[kind]
    return Question("attribute", prompt, answer)


def exists(rng: random.Random, scene: Picture) -> Question:
    present = {(s.color, s.shape) for s in scene.shapes}
    wanted = rng.random() < 0.5
    if wanted:
        color, shape = rng.choice(sorted(present))
    else:  # half of the absent ones share a colour and a shape with something in the picture
        near = [(c, s) for c, _ in present for _, s in present if (c, s) not in present]
        anything = [(c, s) for c in COLORS for s in SHAPES if (c, s) not in present]
        color, shape = rng.choice(sorted(near) if near and rng.random() < 0.5 else anything)
    return Question("exists", f"Is there a {color} {shape}?", "yes" if wanted else "no")


def relation(rng: random.Random, scene: Picture) -> Question | None:
    unique = _unique(scene)
    if len(unique) < 2:
        return None
    a, b = rng.sample(unique, 2)
    horizontal = rng.random() < 0.5
    gap = a.x - b.x if horizontal else a.y - b.y
    if abs(gap) < 4:
        return None
    words = ("left of", "right of") if horizontal else ("above", "below")
    word = rng.choice(words)
    truth = (gap < 0) == (word == words[0])
    return Question("relation", f"Is the {a.name} {word} the {b.name}?", "yes" if truth else "no")


def detect(rng: random.Random, scene: Picture) -> Question:
    shape = rng.choice(scene.shapes).shape if rng.random() < 0.85 else rng.choice(SHAPES)
    boxes = [s.box for s in scene.shapes if s.shape == shape]
    answer = detections(boxes, shape)
    return Question("detect", f"Detect every {shape}.", answer, boxes=boxes, label=shape)


def detect_all(rng: random.Random, scene: Picture) -> Question:
    boxes, names = [s.box for s in scene.shapes], [s.shape for s in scene.shapes]
    return Question("detect_all", "Detect all objects.", detections(boxes, names), boxes=boxes)


def find(rng: random.Random, scene: Picture) -> Question | None:
    """Detect in the phrase and the contract that reinforcement teaches (think, then answer)."""
    item = rng.choice(scene.shapes)
    return find_of(scene, item.color, item.shape)


def find_of(scene: Picture, color: str, shape: str) -> Question:
    boxes = [s.box for s in scene.shapes if (s.color, s.shape) == (color, shape)]
    name = f"{color} {shape}"
    answer = f"<think>{len(boxes)} {name}</think><answer>{detections(boxes, name)}</answer>"
    return Question("find", f"Find every {name}.", answer, boxes=boxes, label=name)


def ground(rng: random.Random, scene: Picture) -> Question | None:
    unique = _unique(scene)
    if not unique:
        return None
    item = rng.choice(unique)
    prompt = f"Give the box of the {item.name}."
    return Question("ground", prompt, corners(item.box), boxes=[item.box], label=item.name)


def region(rng: random.Random, scene: Picture) -> Question:
    item = rng.choice(scene.shapes)
    prompt = f"What is in the box {corners(item.box)}?"
    return Question("region", prompt, f"{item.size} {item.color} {item.shape}")


def instruct(rng: random.Random, scene: Picture) -> Question | None:
    shapes = scene.shapes
    if len(shapes) > 3:
        return None
    kind = rng.choice(("upper", "one", "no_color", "no_size", "start", "list", "list_upper"))
    prompt, answer = {
        "upper": ("Describe the image in upper case.", caption(shapes, place=False).upper()),
        "one": (
            "Describe the image in exactly one sentence.",
            capitalized(" and ".join(sentence(s, place=False) for s in shapes)) + ".",
        ),
        "no_color": (
            "Describe the image. Do not mention color.",
            caption(shapes, color=False),
        ),
        "no_size": ("Describe the image. Do not mention size.", caption(shapes, size=False)),
        "start": (
            "Describe the image. Start with 'I see'.",
            "I see " + ", ".join(sentence(s, place=False) for s in shapes) + ".",
        ),
        "list": ("List the shapes, separated by commas.", ", ".join(s.shape for s in shapes)),
        "list_upper": (
            "List the colors in upper case, separated by commas.",
            ", ".join(s.color for s in shapes).upper(),
        ),
    }[kind]
    return Question("instruct", prompt, answer, details={"constraint": kind})


def judge_pair(
    rng: random.Random, scene: Picture, margins: tuple[int, ...] = (1, 2, 3)
) -> Question | None:
    if len(scene.shapes) > 4:
        return None
    margin = rng.choice(margins)  # as many close pairs as clear ones, unless told otherwise
    fewer = rng.randint(0, 3 - margin)
    faults = rng.sample((fewer, fewer + margin), 2)
    texts = [caption(spoil(rng, scene.shapes, n)) for n in faults]
    question = rng.choice(CAPTION_PHRASES)
    winner = "A" if faults[0] < faults[1] else "B"
    prompt = words("world/judge_pair", question=question, a=texts[0], b=texts[1])
    details = {"question": question, "responses": texts, "faults": list(faults)}
    return Question("judge_pair", prompt, winner, details=details)


def judge_close_pair(rng: random.Random, scene: Picture) -> Question | None:
    return judge_pair(rng, scene, margins=(1, 1, 2))


def judge_point(rng: random.Random, scene: Picture) -> Question | None:
    if len(scene.shapes) > 4:
        return None
    faults = rng.choice((0, 0, 1, 2, 3))
    text = caption(spoil(rng, scene.shapes, faults))
    question = rng.choice(CAPTION_PHRASES)
    prompt = words("world/judge_point", question=question, a=text)
    details = {"question": question, "responses": [text], "faults": [faults]}
    return Question("judge_point", prompt, str(10 - 3 * faults), details=details)


CAPTION_PHRASES = ("Describe the image.", words("caption/describe"))


def spoil(rng: random.Random, shapes: list[Shape], faults: int) -> list[Shape]:
    """Return a copy with `faults` mistakes: a wrong attribute is one, a missing shape is two."""
    shapes = [replace(s) for s in shapes]
    if faults >= 2 and len(shapes) > 1 and rng.random() < 0.4:
        shapes.pop(rng.randrange(len(shapes)))
        faults -= 2
    slots = [(s, name) for s in shapes for name in ("shape", "color", "size", "cell")]
    for item, name in rng.sample(slots, min(faults, len(slots))):
        if name == "cell":
            other = rng.choice([c for c in range(9) if CELLS[c] != item.cell])
            item.x, item.y = 16 + 32 * (other % 3), 16 + 32 * (other // 3)
        else:
            values = {"shape": SHAPES, "color": tuple(COLORS), "size": SIZES}[name]
            setattr(item, name, rng.choice([v for v in values if v != getattr(item, name)]))
    return shapes


def call_tool(rng: random.Random, scene: Picture) -> Question | None:
    if rng.random() < 0.3:
        angle = rng.choice((90, 180, 270))
        call = {"name": "rotate", "arguments": {"angle": angle}}
        return Question("tool", f"Rotate the image by {angle} degrees.", _call(call))
    unique = _unique(scene)
    if not unique:
        return None
    item = rng.choice(unique)
    call = {"name": "crop", "arguments": {"bbox_2d": json.loads(corners(item.box))}}
    return Question("tool", f"Zoom in on the {item.name}.", _call(call), boxes=[item.box])


# ---- clips -----------------------------------------------------------------------------------


def motion(rng: random.Random, clip: Picture) -> Question:
    return Question("motion", f"Which way does the {clip.shapes[0].name} move?", clip.motion)


def mover(rng: random.Random, clip: Picture) -> Question:
    return Question("mover", "Which object moves?", clip.shapes[0].name)


# ---- text only -------------------------------------------------------------------------------

OPPOSITES = {"small": "large", "top": "bottom", "left": "right", "yes": "no"}


def text_only(rng: random.Random) -> Question:
    """Ask something that needs no picture."""
    match rng.choices(("sum", "minus", "opposite", "upper", "larger"), (5, 5, 1, 3, 3))[0]:
        case "sum":
            a, b = rng.randint(0, 49), rng.randint(0, 49)
            prompt, answer = f"What is {a} + {b}?", str(a + b)
        case "minus":
            low, high = sorted((rng.randint(0, 99), rng.randint(0, 99)))
            prompt, answer = f"What is {high} - {low}?", str(high - low)
        case "opposite":
            word = rng.choice(list(OPPOSITES))
            prompt, answer = f"What is the opposite of {word}?", OPPOSITES[word]
        case "upper":
            word = rng.choice(ITEMS + SHAPES + tuple(COLORS))
            prompt, answer = f"Write '{word}' in upper case.", word.upper()
        case _:
            a, b = rng.sample(range(100), 2)
            prompt, answer = f"Which is larger, {a} or {b}?", str(max(a, b))
    return Question("text_only", prompt, answer)


# ---- which questions a kind of picture gets, and how often -------------------------------------

Ask = Callable[[random.Random, Picture], Question | None]
PERCEPTION: dict[Ask, float] = {
    describe: 1.4, count: 1.6, attribute: 2.0, exists: 0.6, detect: 1.4, detect_all: 0.5,
    ground: 1.4, region: 1.0, relation: 0.8,
}  # fmt: skip
BEHAVIOUR: dict[Ask, float] = {
    instruct: 1.2, judge_pair: 0.9, judge_point: 0.6, call_tool: 0.4, find: 1.6, tell: 1.0,
}  # fmt: skip
JUDGEMENT: dict[Ask, float] = {
    judge_pair: 4.0, judge_point: 2.0, find: 0.6, tell: 0.4, describe: 0.3, attribute: 0.6,
    relation: 0.4, count: 0.4, detect: 0.3, ground: 0.3, instruct: 0.2,
}  # fmt: skip
CLOSE_JUDGEMENT: dict[Ask, float] = JUDGEMENT | {judge_pair: 3.0, judge_close_pair: 3.0}
EVERYTHING_AND_JUDGEMENT: dict[Ask, float] = PERCEPTION | BEHAVIOUR | {
    judge_pair: 1.6, judge_close_pair: 1.6, judge_point: 1.6, region: 2.0, call_tool: 1.2,
}  # fmt: skip
DOCUMENT: dict[Ask, float] = {
    value: 2.6, value_with_boxes: 1.8, read_box: 1.0, locate: 1.8, list_values: 1.0, largest: 0.4,
    largest_with_boxes: 0.3, difference_with_boxes: 0.4, bar_color: 0.3, named_text: 0.8,
}  # fmt: skip
TABLE: dict[Ask, float] = {
    value: 4.5, value_with_boxes: 3.0, read_box: 0.6, locate: 0.9, list_values: 1.0,
}  # fmt: skip
QUESTIONS: dict[str, dict[Ask, float]] = {
    "scene": PERCEPTION | BEHAVIOUR,
    "clip": {motion: 1.0, mover: 1.0},
    "crop": {read_crop: 1.0},
    "table": TABLE,
} | dict.fromkeys(("chart", "receipt", "report"), DOCUMENT)


def ask(
    rng: random.Random, picture: Picture, number: int, choices: dict[Ask, float] | None = None
) -> list[Question]:
    """Ask up to `number` different questions about a picture."""
    choices = choices or QUESTIONS[picture.kind]
    asked: dict[str, Question] = {}
    for maker in rng.choices(list(choices), list(choices.values()), k=number):
        question = maker(rng, picture)
        if question:
            asked.setdefault(question.prompt, question)
    return list(asked.values())


def _call(call: dict) -> str:
    return f"<tool_call>{json.dumps(call)}</tool_call>"


def _how_many(scene: Picture, **wanted: str) -> int:
    return sum(all(getattr(s, k) == v for k, v in wanted.items()) for s in scene.shapes)


def _unique(scene: Picture) -> list[Shape]:
    names = Counter(s.name for s in scene.shapes)
    return [s for s in scene.shapes if names[s.name] == 1]
