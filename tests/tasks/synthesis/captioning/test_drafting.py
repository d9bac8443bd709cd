"""Rating with a real model, and what a writer's answers become where they are none."""

import pytest

from tasks.asking.conversation import Answer, question
from tasks.asking.turns import asking
from tasks.prompts import prompt
from tasks.synthesis.captioning.asking_back import answer_requests, trusted_answers
from tasks.synthesis.captioning.budgets import material_of
from tasks.synthesis.captioning.drafting import Rating, Text, rate_texts
from tasks.synthesis.captioning.requests import Request
from tasks.synthesis.captioning.writing import (
    Material,
    added,
    list_objects,
    without_preamble,
    write_captions,
)
from tasks.world.shards import make_sample

HOW = Rating()


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    return [make_sample(0, "test", "caption", i).images[0] for i in range(3)]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    with asking("outputs/base", tmp_path_factory.mktemp("memory"), "cpu") as asker:
        yield asker


@pytest.fixture(scope="module")
def texts(base, pictures) -> list[Text]:
    asked = [question("Describe the image.", [picture]) for picture in pictures]
    replies = base.ask(asked, max_new_tokens=60, scored=True)
    return [Text.written(c, r) for c, [r] in zip(asked, replies, strict=True)]


def scores(rated) -> list[list[float]]:
    return [[sentence.score for sentence in one.rated] for one in rated]


def test_what_a_model_wrote_itself_is_rated_as_a_given_text_is(base, texts):
    own = rate_texts(base, texts, HOW, "own")
    given = rate_texts(base, [Text(t.conversation, t.said) for t in texts], HOW, "given")
    for one, other in zip(scores(own), scores(given), strict=True):
        assert one and one == pytest.approx(other, abs=1e-4)
    assert [one.sentences for one in own] == [other.sentences for other in given]
    assert not any(one.unweighted or one.unrated for one in own)


def test_what_was_noted_while_a_text_was_written_is_used(base, texts):
    unseen = base.score([(question(t.conversation[0].text), t.said) for t in texts])
    noted = [t.noted(len(u.log_probs)) for t, u in zip(texts, unseen, strict=True)]
    seen = base.score([(t.conversation, t.said) for t in texts])
    assert any(text.ended for text in texts)
    for own, given in zip(noted, seen, strict=True):
        assert own == pytest.approx(given.log_probs, abs=1e-4)


def test_an_answer_that_is_only_its_end_has_no_sentence(base, pictures):
    nothing = Text(question("Describe the image.", pictures[:1]), "", (-0.2,), ended=True)
    [found] = rate_texts(base, [nothing], HOW, "nothing")
    assert found.sentences == () and not found.rated


def test_a_score_does_not_depend_on_company(base, texts, tmp_path):
    together = scores(rate_texts(base, texts, HOW, "together"))
    with asking("outputs/base", tmp_path, "cpu") as other:
        alone = [scores(rate_texts(other, [text], HOW, "alone"))[0] for text in reversed(texts)]
    for one, two in zip(together, reversed(alone), strict=True):
        assert one == pytest.approx(two, abs=1e-5)


def test_another_picture_makes_a_caption_less_likely(base, texts, pictures):
    """The picture is what a true caption gains from: with another one it gains less, or loses."""
    swapped = [
        Text(question("Describe the image.", [pictures[i - 1]]), t.said)
        for i, t in enumerate(texts)
    ]
    lowest = Rating(reduction="min")
    right, wrong = (scores(rate_texts(base, some, lowest, "")) for some in (texts, swapped))
    assert sum(map(sum, right)) > sum(map(sum, wrong)) + 1


def test_a_text_that_cannot_be_rated_is_taken_whole_and_says_why(base):
    broken = Text(question("Describe the image.", [b"no picture"]), "A ring. A star.")
    [one] = rate_texts(base, [broken], HOW, "")
    assert one.whole and one.unrated and one.sentences == ("A ring. A star.",)
    [nothing] = rate_texts(base, [Text(question("Describe the image."), "")], HOW, "")
    assert nothing.sentences == () and nothing.rated == ()


def test_answers_are_rated_with_their_own_requests(base, pictures):
    asked = [(pictures[0], Request("the circle", 0, "look", "What color is the circle?"))] * 2
    replies = answer_requests(base, asked, 8, scored=True)
    assert replies[0] == replies[1] and len(replies[0].log_probs) > 0
    kept = trusted_answers(base, asked, replies, HOW)
    assert len(kept) == 2 and kept[0] == kept[1] != ""


class Writer:
    """A writer that says what a table says, and nothing where it says nothing."""

    def __init__(self, said: dict[str, Answer]):
        self.said = said

    def ask(self, questions, **how) -> list[list[Answer]]:
        return [[self.said.get(turn.text, Answer("", 0, ended="end"))] for [turn] in questions]


def test_objects_are_listed_of_every_sentence_in_its_place():
    words = {
        sentence: prompt("caption/objects", sentence=f"{sentence}.", prefix="Look at")
        for sentence in ("A cat", "A dog")
    }
    writer = Writer({
        words["A cat"]: Answer("Look at the cat.\nLook at the ma", 9, ended="limit"),
        words["A dog"]: Answer("Look at the dog", 9, ended="end"),
    })  # fmt: skip
    found = list_objects(writer, [["A cat", "A dog"], [], ["A dog"]], "Look at", 9)
    assert found == [[["Look at the cat."], ["Look at the dog."]], [], [["Look at the dog."]]]


def test_what_comes_out_empty_or_cut_off_falls_back_to_what_it_was_written_from():
    look = Request("the cat", 0, "look", "Look at the cat.")
    place = Request("the cat", 0, "place", "Look at the position of the cat.")
    material = Material(("A cat",), (look, place), {look.text: "It is red.", place.text: "Left."})
    looks = prompt("caption/looks", details="A cat.\nthe cat: It is red.")
    [plain] = write_captions(Writer({}), [material], 9, "pattern")
    assert set(plain.fell_back) == {"looks", "places", "caption"} and plain.calls == 3
    assert all(words in plain.text for words in ("A cat.", "It is red.", "Left."))
    assert plain.added == ()
    integrated = prompt(
        "caption/integrate", sentences="A cat.", looks="It is red.",
        places="A cat.\nthe cat: Left.",
    )  # fmt: skip
    writer = Writer({
        looks: Answer("Here is the paragraph: It is red.", 9, ended="end"),
        integrated: Answer("Sure! Here is the caption: A red cat and a dog.", 9, ended="end"),
    })  # fmt: skip
    [one] = write_captions(writer, [material], 9, "pattern")
    assert one.text == "A red cat and a dog." and one.added == ("dog",)
    assert one.fell_back == ("places",)
    [bare] = write_captions(Writer({}), [Material(("A cat",), (), {})], 9, "pattern")
    assert bare.text == "A cat." and bare.calls == 1


def test_a_budget_takes_the_first_objects_of_the_same_answers():
    rows = [
        {"object": name, "sentence": 0, "kind": kind, "text": f"{kind} {name}", "answer": "a",
         "kept": "" if name == "c" else "a"}
        for name in ("a", "b", "c") for kind in ("look", "place")
    ]  # fmt: skip
    row = {"trusted": ["S"], "requests": rows}
    sizes = [len(material_of(row, budget).requests) for budget in (0, 1, 2, 3, None)]
    assert sizes == [0, 2, 4, 6, 6]
    assert len(material_of(row, None).answers) == 4  # an answer that was dropped is none


@pytest.mark.parametrize(("caption", "expected"), [
    ("A red cat.", ()), ("Three cats and 4 dogs.", ("4", "dogs")), ("The CAT sat.", ()),
    ("Tables.", ("Tables",)), ("", ()),
])  # fmt: skip
def test_nouns_and_numbers_that_no_source_has(caption, expected):
    found = added(caption, ["a red cat", "three things sat"])
    assert tuple(word for word in found if word not in ("Three",)) == expected


@pytest.mark.parametrize(("text", "left"), [
    ("Caption: A cat.", "A cat."), ("Certainly. Here's a caption of it: A cat.", "A cat."),
    ("Here is a cat on a mat.", "Here is a cat on a mat."), ("A cat: red.", "A cat: red."),
])  # fmt: skip
def test_preambles_are_cut_and_nothing_else(text, left):
    assert without_preamble(text) == left
