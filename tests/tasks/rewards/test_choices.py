"""Options of a question, and the letter that an answer chooses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.rewards.choices import LETTERS, chosen, options_in

OPTIONS = {"A": "red", "B": "12 cm", "C": "a dog.", "D": "None of these"}
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1).filter(
    lambda text: text == text.strip() and text
)


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(C)", "C"),
        ("**D**.", "D"),
        ("B. 12 cm", "B"),
        ("The answer is C, as D is longer", "C"),
        ("12 cm.", "B"),
        ("A Dog", "C"),  # its text before the article's letter
        ("red", "A"),
        ("none of these", "D"),
        ("Dogs", None),
        ("A's friend", None),
        ("H2O", None),
        ("", None),
        ("E", "E"),  # a letter that is not there is a wrong answer, and no empty one
    ],
)
def test_an_answer_chooses_a_letter(answer, letter):
    assert chosen(answer, OPTIONS) == letter


@given(st.lists(TEXTS, min_size=2, max_size=8))
def test_options_are_read_as_they_are_set(texts):
    options = dict(zip(LETTERS, texts, strict=False))
    for form in ("{}. {}", "({}) {}", "{}) {}", "{}: {}"):
        listed = "\n".join(form.format(letter, text) for letter, text in options.items())
        assert options_in(f"Which?\n{listed}\nAnswer.") == options


@pytest.mark.parametrize(
    ("question", "options"),
    [
        (
            "Is it?\nOptions: A: on the book., B: a, b, C: c",
            {"A": "on the book.", "B": "a, b", "C": "c"},
        ),
        ("Is it?\nB. x\nC. y", {}),  # from A on
        ("Is it?\nA. x", {}),  # more than one
        ("A. x\nA. y", {}),
        ("Options: A: ", {}),
        ("", {}),
    ],
)
def test_what_lists_no_options_has_none(question, options):
    assert options_in(question) == options


@given(st.text(), st.dictionaries(st.sampled_from(LETTERS), st.text()))
def test_any_text_is_read(text, options):
    assert isinstance(options_in(text), dict)
    assert chosen(text, options) is None or chosen(text, options) in LETTERS
