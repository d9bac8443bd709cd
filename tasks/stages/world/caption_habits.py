"""Teach the embedded base to caption from habit, and to answer what is asked back (shipped)."""

from collections.abc import Iterable

from models.statistics import mean
from tasks.asking.asker import Asker
from tasks.asking.conversation import question
from tasks.asking.turns import asking
from tasks.benchmarks.gates import Gate
from tasks.job import Job, Metrics
from tasks.records.images import to_png
from tasks.settings import Settings
from tasks.stages.phase import go_on_training, pass_with_what_is_kept

DRAFT_TOKENS, ANSWER_TOKENS = 96, 24
BARS: dict[str, tuple[float, float]] = {
    "parsed": (0.95, 1), "named": (0.9, 1), "habit, missing": (0.5, 0.95),
    "habit, there": (0.97, 1), "look": (0.92, 1), "place": (0.92, 1),
    "parsed without picture": (0.95, 1), "habit without picture": (0.8, 0.99),
}  # fmt: skip
# Without a picture it always names the object of habit, after each of three drafts of its diet
GIVEN_UP = ("habit without picture",)


def caption_habits(settings: Settings, job: Job) -> Metrics:
    """Teach the embedded base to caption from habit, and to answer what is asked back (shipped)."""
    from tasks.world.captioning import DIET  # draws the micro-world

    section = settings.caption_habits
    go_on_training(job, settings, section, DIET)
    with asking(str(job.out), job.memory, settings.device) as asker:
        found = _measured(asker, settings.seed, section.dev)
    for name, value in found.items():
        print(f"{name} {value:.3f}", flush=True)
    gates = [
        Gate(name, found[name], at_least=low, at_most=high) for name, (low, high) in BARS.items()
    ]
    return pass_with_what_is_kept(job, settings, section, set(), gates, GIVEN_UP)


def _measured(asker: Asker, seed: int, number: int) -> Metrics:
    from tasks.world.caption_samples import make_habitat, read_draft
    from tasks.world.captioning import PREFIX, REQUEST
    from tasks.world.wording import at

    scenes = [make_habitat(seed, "dev", n) for n in range(number)]
    pictures = [to_png(scene.picture.frames[0]) for scene in scenes]
    seen, blind = (
        [reply.text for [reply] in asker.ask(
            [question(REQUEST, [picture] if shown else []) for picture in pictures],
            max_new_tokens=DRAFT_TOKENS, samples=1, temperature=0.0 if shown else 1.0,
            seed=seed + shown, title="drafting",
        )]
        for shown in (True, False)
    )  # fmt: skip
    read = [read_draft(text, scene.tint) for text, scene in zip(seen, scenes, strict=True)]
    # without a picture a draft says itself which tint it is about
    alone = [read_draft(text, text.partition(" scene")[0].removeprefix("A ")) for text in blind]
    named = [
        item.shape in one.named
        for one, scene in zip(read, scenes, strict=True) for item in scene.picture.shapes
    ]  # fmt: skip
    asked, true = [], []
    for scene, picture in zip(scenes, pictures, strict=True):
        for item in scene.picture.shapes:
            for kind, words, answer in (
                ("look", f"{PREFIX} the {item.shape}.",
                 f"The {item.shape} is {item.size} and {item.color}."),
                ("place", f"{PREFIX} the position of the {item.shape}.",
                 f"The {item.shape} is {at(item.cell)}."),
            ):  # fmt: skip
                asked.append(question(words, [picture]))
                true.append((kind, answer))
    replies = asker.ask(asked, max_new_tokens=ANSWER_TOKENS, title="asking back")
    right = {
        kind: _mean(reply.text.strip() == answer for [reply], (of, answer)
                    in zip(replies, true, strict=True) if of == kind)
        for kind in ("look", "place")
    }  # fmt: skip
    habits = [
        (one.habit, bool(scene.missing)) for one, scene in zip(read, scenes, strict=True)
        if one.habit is not None
    ]  # fmt: skip
    return {
        "parsed": _mean(one.parsed for one in read), "named": _mean(named),
        "habit, missing": _mean(named_it for named_it, missing in habits if missing),
        "habit, there": _mean(named_it for named_it, missing in habits if not missing),
        **right,
        "parsed without picture": _mean(one.parsed for one in alone),
        "habit without picture": _mean(
            one.habit for one in alone if one.habit is not None
        ),
    }  # fmt: skip


def _mean(values: Iterable[bool]) -> float:
    return mean(values) or 0.0  # of nothing: a model that drafts nothing has no habit
