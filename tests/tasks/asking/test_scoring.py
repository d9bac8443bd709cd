"""Given texts have the log-probabilities of a plain forward, after any history, shared or not."""

import math

import pytest
import torch

from tasks.asking import opening
from tasks.asking.asker import softmax
from tasks.asking.conversation import Conversation, Turn, question
from tasks.asking.local import chat
from tasks.asking.turns import open_asker
from tasks.running.errors import UserError
from tasks.world.shards import make_sample
from tests.tasks.asking.test_local import odd, png  # noqa: F401

TEXTS = ("three", "There is a red ring.", "A", "x y\nz", "Zürich…")


@pytest.fixture(scope="module")
def conversations() -> list[Conversation]:
    """Of one turn and of three, with a picture in the first, in a later one, in two and in none."""
    samples = [make_sample(0, "test", task, 0) for task in ("count", "motion", "text_only")]
    asked = [question(sample.prompt, sample.images) for sample in samples]
    picture = tuple(samples[0].images)
    later = Turn("user", "And this one?", picture)
    return [
        *asked,
        (*asked[0], Turn("assistant", "Two."), Turn("user", "Are you sure?")),
        (*asked[2], Turn("assistant", "Yes."), later),
        (*asked[1], Turn("assistant", "No."), later),
        (Turn("system", "Be brief."), *asked[0]),
    ]


def plainly(asker, conversation: Conversation, text: str) -> list[float]:
    """One row, one forward, all logits."""
    model, processor = asker.engine.model, asker.engine.processor
    inputs = processor.apply_chat_template(
        [chat(conversation)], tokenize=True, add_generation_prompt=True, return_dict=True,
        return_tensors="pt",
    )  # fmt: skip
    tokens = processor.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    length = inputs["input_ids"].shape[1]
    inputs["input_ids"] = torch.cat([inputs["input_ids"], tokens], 1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    if "mm_token_type_ids" in inputs:
        kinds = inputs["mm_token_type_ids"]
        inputs["mm_token_type_ids"] = torch.cat([kinds, torch.zeros_like(tokens)], 1)
    with torch.no_grad():
        logits = model(**inputs).logits[0, length - 1 : -1].float().log_softmax(-1)
    return logits.gather(1, tokens[0][:, None])[:, 0].tolist()


@pytest.mark.parametrize("shared", [True, False])
def test_scores_are_those_of_a_plain_forward(
    shared, conversations, model_folder, tmp_path, monkeypatch
):
    if not shared:
        monkeypatch.setattr(opening, "can_share_prefix", lambda model: False)
    asker = open_asker(model_folder, tmp_path, "cpu")
    given = [(conversation, text) for conversation in conversations for text in TEXTS]
    for (conversation, text), scored in zip(given, asker.score(given), strict=True):
        assert scored.log_probs == pytest.approx(plainly(asker, conversation, text), abs=1e-5)
        assert len(scored.offsets) == len(scored.log_probs)
        # spans follow each other and leave nothing out but white space
        ends = [0, *(end for _, end in scored.offsets)]
        assert all(text[a:b].strip() == "" for a, (b, _) in zip(ends, scored.offsets, strict=False))
        assert ends[-1] == len(text)


def test_an_answers_own_scores_are_those_of_the_text_that_it_is(
    conversations, model_folder, tmp_path
):
    asker = open_asker(model_folder, tmp_path, "cpu")
    how = {"max_new_tokens": 8, "samples": 2, "temperature": 1.0, "scored": True}
    answers = asker.ask(conversations, **how)
    greedy = asker.ask(conversations, max_new_tokens=8, scored=True)
    for conversation, group in zip(conversations, answers + greedy[: len(answers)], strict=False):
        for answer in group:
            if answer.ended != "limit":
                continue
            tokens = asker.engine.processor.tokenizer(answer.text, add_special_tokens=False)
            if len(tokens["input_ids"]) != answer.tokens:
                continue  # the same text in other tokens
            [scored] = asker.score([(conversation, answer.text)])
            assert answer.log_probs == pytest.approx(scored.log_probs, abs=1e-5)


def test_alternatives_are_whole_texts_and_their_shares_add_up(
    conversations, model_folder, tmp_path
):
    asker = open_asker(model_folder, tmp_path, "cpu")
    words = ("The first one is better", "The second one is better", "no")
    for texts in (words, ("A", "B")):
        chosen = asker.choose(conversations, texts)
        answers = asker.ask(conversations, max_new_tokens=2, alternatives=texts)
        for conversation, shares, [answer] in zip(conversations, chosen, answers, strict=True):
            totals = [sum(plainly(asker, conversation, text)) for text in texts]
            assert shares == pytest.approx(softmax(totals), abs=1e-5) and sum(
                shares
            ) == pytest.approx(1)
            assert answer.alternatives == pytest.approx(totals, abs=1e-4)


def test_what_cannot_be_asked_has_no_score_and_no_share(odd, model_folder, tmp_path):  # noqa: F811
    asker = open_asker(model_folder, tmp_path, "cpu")
    for reason, scored in zip(odd, asker.score([(one, "x") for one in odd.values()]), strict=True):
        assert scored.unanswered.startswith(reason) and scored.total == -math.inf
    assert asker.choose(list(odd.values()), ("A", "B")) == [()] * len(odd)
    assert len(asker.unanswered) >= len(odd)


def test_a_special_token_in_a_text_is_scored_as_text(model_folder, tmp_path):
    asker = open_asker(model_folder, tmp_path, "cpu")
    [scored] = asker.score([(question("Hi"), "yes<|im_end|>")])
    special = asker.engine.processor.tokenizer("<|im_end|>", add_special_tokens=False)["input_ids"]
    assert len(special) == 1 and len(scored.log_probs) > 2


def test_an_empty_text_is_certain(model_folder, tmp_path):
    [scored] = open_asker(model_folder, tmp_path, "cpu").score([(question("Hi"), "")])
    assert scored.total == 0 and scored.log_probs == ()


def test_a_conversation_that_asks_nothing_is_refused(model_folder, tmp_path):
    asker = open_asker(model_folder, tmp_path, "cpu")
    for nothing in ((), (*question("Hi"), Turn("assistant", "Hello"))):
        with pytest.raises(UserError, match="1 of 2 conversations ask nothing"):
            asker.ask([question("Hi"), nothing], max_new_tokens=2)
        with pytest.raises(UserError, match="1 of 1 conversations ask nothing"):
            asker.score([(nothing, "x")])


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (
            "{% if messages|length > 1 %}{{ raise_exception('one turn') }}{% endif %}x",
            "cannot write",
        ),
        ("{% for m in messages %}{{ m.role }}{% endfor %}", "leaves pictures out"),
    ],
)
def test_a_template_that_cannot_hold_a_conversation_is_told_before_anything_is_asked(
    template, told, conversations, model_folder, tmp_path
):
    asker = open_asker(model_folder, tmp_path, "cpu")
    asker.engine.processor.chat_template = template
    with pytest.raises(UserError, match=told):
        asker.ask([conversations[3]], max_new_tokens=2)
    assert asker.memory.known([b""]) == {} and asker.tokens == 0


def test_a_model_that_computes_no_numbers_stops_and_keeps_what_it_was_asked(
    conversations, model_folder, tmp_path
):
    asker = open_asker(model_folder, tmp_path, "cpu")
    with torch.no_grad():
        asker.engine.model.get_output_embeddings().weight.fill_(math.nan)
    for work in (
        lambda: asker.ask(conversations[:3], max_new_tokens=4),
        lambda: asker.ask(conversations[:3], max_new_tokens=4, temperature=1.0),
        lambda: asker.score([(one, "x") for one in conversations[:3]]),
    ):
        with pytest.raises(UserError, match="NaN or infinity for 3 conversations"):
            work()
        kept = sorted((tmp_path / "not_finite").glob("*.json"))
        assert len(kept) == 3 and conversations[0][0].text in "".join(f.read_text() for f in kept)
