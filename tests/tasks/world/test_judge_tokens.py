"""New tokens shorten what judges write, and change nothing that the base can read."""

import copy
import random

import pytest
import torch

from models.vlm.loading import load_model, load_processor
from tasks.asking.conversation import text_of
from tasks.judging.wording import SENTENCES, asked, score_said
from tasks.records.judgements import STYLES, TASKS, A, Judgement
from tasks.world import drawing, few_shot, questions
from tasks.world.judge_tokens import FRAGMENTS, add_fragments, with_fragments
from tasks.world.judging_questions import TWO_VIDEOS, count_right, draw_shown

TRACE = """<think>
1. color: Image 1 (6/10) - two are right; Image 2 (8/10) - all are right
2. shape: Answer 1 (7/10) - right; Answer 2 (7/10) - right; Video 1 (4/10); Video 2 (9/10)
Total score:
Image 1: 6+7=13
Image 2: 8+7=15
</think>
<answer>Image 2 is better</answer>Overall Judgment: Image 1 is better, Answer 2 is better,
Answer 1 is better, Video 1 is better, Video 2 is better, both are equally good"""


@pytest.fixture(scope="module")
def wider(tokenizer):
    copied = copy.deepcopy(tokenizer)
    add_fragments(copied)
    return copied


def ids(tokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def of_the_base() -> list[str]:
    rng = random.Random("tokens")
    found = [questions.text_only(rng) for _ in range(200)]
    for kind in drawing.KINDS:
        for _ in range(60):
            found += drawing.draw_for_pretraining(rng, kind, 20)[1]
    for _ in range(60):
        picture = drawing.draw(rng, "scene", "train")
        makers = (questions.judge_pair, questions.judge_point, questions.count_sizes)
        found += filter(None, (maker(rng, picture) for maker in makers))
        subject = few_shot.draw_subject(rng)
        found += [few_shot.classify(rng, subject), few_shot.point(rng, subject)]
    return [text for question in found if question for text in (question.prompt, question.answer)]


def of_judges() -> list[str]:
    media = {"image": (b"",) * 2, "video": (b"",) * 6}
    judgements = [
        Judgement("", "Describe it.", media[task.split("_")[0]], ("A.", "B."), task, style)
        for task in TASKS for style in STYLES
    ]  # fmt: skip
    shown = draw_shown(random.Random(0), "scene", 2, "train")
    asks = [count_right(random.Random(i), shown) for i in range(9)]
    said = [text for words in SENTENCES.values() for text in words.values()]
    return [
        TRACE, TWO_VIDEOS, score_said(7, "video_understanding"), *said,
        *(text_of(asked(j)) for j in judgements),
        *(question.prompt for question in asks if question),
    ]  # fmt: skip


def test_no_text_of_the_base_is_read_differently(tokenizer, wider):
    texts = of_the_base()
    assert len(texts) > 4000
    assert [text for text in texts if ids(tokenizer, text) != ids(wider, text)] == []


def test_every_fragment_is_one_token_and_is_used(wider):
    texts = of_judges()
    used = {token for text in texts for token in ids(wider, text)}
    for fragment in FRAGMENTS:
        [token] = ids(wider, fragment)
        assert token in used, f"nobody writes {fragment!r}"


def test_what_judges_read_and_write_comes_back_as_it_was(wider):
    for text in of_judges():
        assert wider.decode(ids(wider, text)) == text


def test_verdicts_and_traces_take_half_the_tokens(tokenizer, wider):
    assert len(ids(tokenizer, SENTENCES["video_understanding"][A])) == 8
    assert len(ids(wider, SENTENCES["video_understanding"][A])) == 1
    assert len(ids(wider, TRACE)) < 0.6 * len(ids(tokenizer, TRACE))
    before, after = (sum(len(ids(t, text)) for text in of_judges()) for t in (tokenizer, wider))
    assert after < 0.5 * before


def test_new_tokens_begin_as_the_mean_of_their_pieces(model_folder, tokenizer, tmp_path):
    out = with_fragments(model_folder, tmp_path)
    old, new = (load_model(str(folder)) for folder in (model_folder, out))
    wider = load_processor(str(out)).tokenizer
    before, after = (model.get_input_embeddings().weight.float() for model in (old, new))
    assert torch.equal(after[: len(tokenizer)], before[: len(tokenizer)])
    assert len(after) % 8 == 0 and len(after) - len(wider) < 8
    for fragment in FRAGMENTS:
        [token] = ids(wider, fragment)
        mean = before[ids(tokenizer, fragment)].mean(0)
        assert torch.allclose(after[token], mean, atol=0.01)
    text = torch.tensor([ids(tokenizer, "What color is the star?")])
    seen = [model(input_ids=text).logits[..., : len(tokenizer)] for model in (old, new)]
    assert torch.allclose(*seen, atol=1e-5)
