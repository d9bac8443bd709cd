"""How the arms of ScaleCap's experiment make captions, and how a rating is chosen."""

import random

import pytest

from tasks.reproduction.scalecap_arms import (
    ALL,
    ARMS,
    ASKED_ONLY,
    BY_BUDGET,
    LOOKS,
    NAMED,
    RANDOM,
    RATED_ONLY,
    TRUE,
)
from tasks.reproduction.scalecap_captions import Choice, kept_sentences, longer, material
from tasks.reproduction.scalecap_choice import KEPT, auroc, chosen, options, threshold
from tasks.reproduction.scalecap_truth import is_true, vocabulary
from tasks.rewards.captions import sentences
from tasks.synthesis.captioning.drafting import Rating
from tasks.world import caption_samples
from tasks.world.captioning import PREFIX, Habitat, draft, true_caption
from tasks.world.lexicon import SHAPES

SCENES = [caption_samples.make_habitat(0, "test", n) for n in range(60)]
CHOICE = Choice(Rating(reduction="min"), Rating(reduction="mean"), Rating(reduction="noun"))


def details(scene: Habitat) -> dict:
    number = SCENES.index(scene)
    return caption_samples.samples_about(0, "test", number)[0].details


@pytest.fixture(scope="module")
def pictures() -> list[dict]:
    """What a captioner would say that believes what is there: a false sentence is less likely."""
    words = vocabulary(map(details, SCENES))
    found = []
    for number, scene in enumerate(SCENES):
        rng = random.Random(number)
        text = draft(rng, scene)
        true = {s: is_true(s, details(scene), words) is not False for s in sentences(text)}
        tokens, seen = [], []
        for sentence, holds in true.items():
            some = [f" {word}" for word in f"{sentence} .".split()]
            tokens += some
            seen += [rng.uniform(-1, 1) + (1 if holds else -3) for _ in some]
        said = "".join(tokens)
        objects = {
            s: [f"{PREFIX} the {name}." for name in words["shape"] if name in s] for s in true
        }
        everything = [f"{PREFIX} the {name}." for name in words["shape"]]
        asked = [
            text for one in everything
            for text in (one, one.replace(PREFIX, f"{PREFIX} the position of", 1))
        ]  # fmt: skip
        none = {"tokens": [], "seen": [], "unseen": [], "unrated": "not asked"}
        found.append({
            "id": str(number), "true": {f" {s} .".strip(" ."): v for s, v in true.items()},
            "draft": {"text": said, "tokens": tokens, "seen": seen,
                      "unseen": [0.0] * len(seen), "unrated": ""},
            "objects": objects, "everything": everything, "samples": [text, text],
            "answers": {one: none | {"text": f"It is {one}"} for one in asked},
        })  # fmt: skip
    return found


def test_truth_is_that_of_the_worlds_own_grammar():
    words = vocabulary(map(details, SCENES))
    compared = 0
    for number, scene in enumerate(SCENES):
        shapes, tint = details(scene)["shapes"], scene.tint
        for text in (draft(random.Random(number), scene), true_caption(SCENES[number - 1])):
            for sentence in sentences(text):
                theirs = caption_samples.is_true(sentence, tint, shapes)
                assert is_true(sentence, details(scene), words) is theirs, sentence
                compared += 1
    assert compared > 500
    assert is_true("It sings", details(SCENES[0]), words) is None


def test_auroc_is_the_share_of_pairs_in_order():
    rng = random.Random(0)
    true, false = ([rng.randint(0, 5) + shift for _ in range(40)] for shift in (1, 0))
    pairs = [(t > f) + 0.5 * (t == f) for t in true for f in false]
    assert auroc(true, false) == pytest.approx(sum(pairs) / len(pairs))
    assert auroc([], false) is None
    values = [rng.random() for _ in range(200)]
    kept = [value > threshold(values) for value in values]
    assert KEPT <= sum(kept) / len(kept) < KEPT + 0.01
    assert threshold([]) == 0.0 and threshold([1.0]) < 1.0


def test_a_rating_is_chosen_by_what_tells_true_sentences(pictures):
    found = {(r["gap"], r["reduction"], r["weighted"]): r for r in options(pictures)}
    assert all(row["low"] <= row["auroc"] <= row["high"] for row in found.values())
    best = max(row["auroc"] for key, row in found.items() if key[0] != "confidence")
    choice = chosen(pictures)
    how = choice.contrast
    assert found[how.gap, how.reduction, bool(how.tagger)]["auroc"] == best > 0.9
    assert (choice.likely.reduction, choice.nouns.reduction) == ("mean", "noun")


def test_arms_differ_in_what_they_are_about(pictures):
    cut = 0
    for picture in pictures:
        made = {arm.name: material(arm, picture, CHOICE, PREFIX, 0) for arm in ARMS}
        assert made[RATED_ONLY].requests == () == made["sample agreement"].requests
        sizes = [len(made[name].requests) for name in BY_BUDGET.values()]
        assert sizes == sorted(sizes)
        assert sizes[1:4] == [min(2 * n, sizes[-1]) for n in (1, 2, 4)]
        assert {one.kind for one in made[LOOKS].requests} == {"look"}
        assert len(made[RANDOM].requests) == len(made[ALL].requests)
        assert all(set(one.answers) == {r.text for r in one.requests} for one in made.values())
        draft_said = kept_sentences(NAMED[ASKED_ONLY], picture, CHOICE)
        true = kept_sentences(NAMED[TRUE], picture, CHOICE)
        assert true == [s for s in draft_said if picture["true"][s.strip()]]
        cut += len(true) < len(draft_said)
        text = longer(picture | {"samples": [f"A thing{n}." for n in range(99)]}, 60)
        assert 60 <= len(text.split()) < 63
    assert cut > 5
    assert len(SHAPES) >= max(len(p["everything"]) for p in pictures)
