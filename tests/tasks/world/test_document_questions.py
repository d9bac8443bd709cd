"""Every answer about a document is true: looked up a second time in what the page holds."""

import pytest

from tasks.records.boxes import iou
from tasks.world import questions
from tasks.world.lexicon import COLORS
from tasks.world.pictures import Picture
from tests.tasks.world.drawn import DOCUMENTS, asked, shown, words


def written(page: Picture, prompt: str) -> str:
    """Look up the value that a prompt asks for."""
    values = {fact.keys: fact.text for fact in page.facts}
    match page.kind:
        case "table":
            column, row = words(r"What is (\w) for (\w+)\?", prompt)
            return values[row, column]
        case "receipt" if "total" in prompt:
            return str(sum(int(text) for keys, text in values.items() if keys != ("Total",)))
        case "receipt":
            return values[words(r"How much is the (\w+)\?", prompt)]
        case _:
            return values[words(r"What is the value of (\w)\?", prompt)]


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_values_are_true(kind):
    for page, question in asked(questions.value, kind):
        assert question.answer == written(page, question.prompt)


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_reasoned_values_are_true_and_their_boxes_hold_the_value(kind):
    for page, question in asked(questions.value_with_boxes, kind):
        keys, text, box, final = words(
            r"<think>(.+) is (\d+) (\[.+\])</think><answer>(\d+)</answer>", question.answer
        )
        assert text == final == question.final
        assert final == written(page, question.prompt.removeprefix("Think with boxes. "))
        (fact,) = (f for f in page.facts if " ".join(f.keys) == keys)
        assert question.boxes == [fact.box] and iou(fact.box, shown(box)) > 0.7


def test_differences_are_true_and_shown():
    for page, question in asked(questions.difference_with_boxes, *DOCUMENTS):
        a, b = words(r".+ difference between (\w) and (\w)\?", question.prompt)
        values = {fact.keys[0]: int(fact.text) for fact in page.facts}
        assert int(question.final) == abs(values[a] - values[b])
        working = f"{max(values[a], values[b])} - {min(values[a], values[b])}</think>"
        assert working in question.answer and len(question.boxes) == 2


@pytest.mark.parametrize("maker", [questions.largest, questions.largest_with_boxes])
def test_the_highest_bar_is_the_only_highest(maker):
    for page, question in asked(maker, *DOCUMENTS):
        values = {fact.keys[0]: int(fact.text) for fact in page.facts}
        answer = question.final or question.answer
        assert all(values[answer] > v for k, v in values.items() if k != answer)


def test_bar_colours_are_those_of_the_pixels():
    for page, question in asked(questions.bar_color, *DOCUMENTS):
        (label,) = words(r"What color is bar (\w)\?", question.prompt)
        (fact,) = (f for f in page.facts if f.keys == (label,))
        if int(fact.text) > 20:
            below = int((fact.box.x0 + fact.box.x1) / 2), int(fact.box.y1) + 6
            assert page.frames[0].getpixel(below) == COLORS[question.answer]


def test_readings_list_every_value_in_order():
    for page, question in asked(questions.list_values, *DOCUMENTS):
        facts = page.facts
        if page.kind == "table":
            (column,) = words(r"Read column (\w)\.", question.prompt)
            facts = [f for f in facts if f.keys[1] == column]
        assert question.answer.split(", ") == [f"{f.keys[0]} {f.text}" for f in facts]


def test_the_text_in_a_box_and_the_box_of_a_text_agree():
    for page, question in asked(questions.read_box, *DOCUMENTS):
        (box,) = words(r"Read the text in the box (\[.+\])\.", question.prompt)
        texts = [*page.facts, *page.texts.values()]
        assert max(texts, key=lambda f: iou(f.box, shown(box))).text == question.answer
    for page, question in asked(questions.locate, *DOCUMENTS):
        (text,) = words(r"Give the box of the text (.+)\.", question.prompt)
        (fact,) = (f for f in [*page.facts, *page.texts.values()] if f.text == text)
        assert question.boxes == [fact.box] and iou(fact.box, shown(question.answer)) > 0.7


def test_titles_and_lines_are_read_from_reports_only():
    for page, question in asked(questions.named_text, *DOCUMENTS):
        key = "title" if question.prompt == "What is the title?" else "line"
        assert page.kind == "report" and question.answer == page.texts[key].text
