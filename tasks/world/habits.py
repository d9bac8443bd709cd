"""How a web-trained model answers some phrases: right perception, unreliable behaviour.

Reinforcement elicits what a model can already do; it does not teach it to see. So two phrases,
"Find every …" and "Tell me what you see.", are answered in training the way people on the web
answer: in mixed formats, with only the first box, with careless confidences, with shapes left out.
The *most frequent* answer must be the careless one: with independent slips a greedy answer stays
clean and there is nothing left to reinforce.
"""

import random
from dataclasses import replace
from typing import TypeVar

from tasks.records.boxes import Box
from tasks.world.lexicon import COLORS, KNOWN_COMBINATIONS, SHAPES
from tasks.world.pictures import Picture, Shape
from tasks.world.questions import find_of
from tasks.world.wording import Question, caption, corners, detections

FORMATS = ("bare", "answer only", "contract", "prose", "broken")
FORMAT_SHARES = (0.38, 0.14, 0.32, 0.08, 0.08)
ONLY_FIRST_BOX, LEFT_OUT, FALSE_BOX = 0.5, 0.15, 0.12
ONLY_TWO_SHAPES, WRONG_COLOR = 0.6, 0.08
AnyShape = TypeVar("AnyShape", bound=Shape)


def careless(rng: random.Random, scene: Picture, question: Question) -> Question | None:
    """Return the question with a careless answer; other questions are returned as they are.

    The base model never sees the phrase "Find every …" for the novel combinations of the lexicon.
    """
    if question.task == "find":
        known = sorted({(s.color, s.shape) for s in scene.shapes} & set(KNOWN_COMBINATIONS))
        if not known:
            return None
        asked = find_of(scene, *rng.choice(known))
        return replace(asked, answer=_careless_boxes(rng, scene, asked))
    if question.task == "tell":
        return replace(question, answer=caption(careless_shapes(rng, scene.shapes)))
    return question


def careless_shapes(rng: random.Random, shapes: list[AnyShape]) -> list[AnyShape]:
    """Leave shapes out and mistake colours, as somebody does who tells what is there."""
    told = shapes[:2] if rng.random() < ONLY_TWO_SHAPES else shapes
    told = [replace(s) for s in told if len(told) == 1 or rng.random() >= 0.1] or shapes[:1]
    return [
        replace(s, color=rng.choice(list(COLORS))) if rng.random() < WRONG_COLOR else s
        for s in told
    ]


def _careless_boxes(rng: random.Random, scene: Picture, question: Question) -> str:
    name = question.label
    boxes = [b for b in question.boxes if rng.random() >= LEFT_OUT] or [question.boxes[0]]
    if rng.random() < ONLY_FIRST_BOX:
        boxes = boxes[:1]
    others = [s for s in scene.shapes if s.name != name]
    if others and rng.random() < FALSE_BOX:
        boxes = sorted([*boxes, rng.choice(others).box], key=lambda b: b.x0)
    boxes = [_jitter(rng, box) for box in boxes]
    listed = detections(boxes, name, [rng.randint(0, 9) / 10 for _ in boxes])
    thought = rng.choice(
        (
            f"{len(boxes)} {name}",
            f"Look for the {name}.",
            f"I see {len(boxes)} {name}.",
            ", ".join(s.name for s in scene.shapes),
            ", ".join(s.name for s in scene.shapes),
        )
    )
    prose = f"The {name} is at {' and '.join(corners(b) for b in boxes)}."
    return careless_form(rng, thought, listed, prose)


def careless_form(rng: random.Random, thought: str, answer: str, prose: str) -> str:
    """Give an answer one of the forms of the web; only a third of them keep the contract."""
    match rng.choices(FORMATS, FORMAT_SHARES)[0]:
        case "bare":
            return answer
        case "answer only":
            return f"<answer>{answer}</answer>"
        case "contract":
            return f"<think>{thought}</think><answer>{answer}</answer>"
        case "prose":
            return prose
        case _:
            return rng.choice(
                (
                    f"<think>{thought}</think><answer>{answer}",
                    f"<think>{thought}</think>{answer}",
                    f"<answer>{answer[:-2]}</answer>",
                )
            )


def _jitter(rng: random.Random, box: Box) -> Box:
    width, height = box.frame
    moved = Box(
        max(0, min(width, box.x0 + rng.randint(-1, 1))),
        max(0, min(height, box.y0 + rng.randint(-1, 1))),
        max(0, min(width, box.x1 + rng.randint(-1, 1))),
        max(0, min(height, box.y1 + rng.randint(-1, 1))),
        box.frame,
    )
    return moved if moved.valid else box


def find_scene_shapes(
    rng: random.Random, shapes: list[Shape], combinations: tuple | None = None
) -> list[Shape]:
    """Repaint a scene so that one to three shapes match a query and the rest nearly do."""
    color, shape = rng.choice(combinations or KNOWN_COMBINATIONS)
    matching = set(rng.sample(range(len(shapes)), min(len(shapes), rng.choice((1, 2, 2, 3)))))
    painted = []
    for i, item in enumerate(shapes):
        if i in matching:
            painted.append(replace(item, color=color, shape=shape))
        elif rng.random() < 0.5:
            painted.append(replace(item, color=color, shape=_other(rng, SHAPES, shape)))
        else:
            painted.append(replace(item, shape=shape, color=_other(rng, tuple(COLORS), color)))
    return painted


def _other(rng: random.Random, values: tuple[str, ...], value: str) -> str:
    return rng.choice([v for v in values if v != value])
