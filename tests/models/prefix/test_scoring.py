"""Given texts are scored as a plain pass over each row alone would score them."""

import pytest
import torch

from models.prefix.scoring import log_probs
from models.prefix.shared import SharedPrefix, share_prefix
from tests.models.prefix.test_sampling import one_of, prompts_of
from tests.models.prefix.test_shared import model  # noqa: F401  (three families)

SHOWN = [0, 1, 2, 3]
TEXTS = [[11, 12, 13], [11, 12, 14, 15, 16], [40], [11, 12, 13]]


def alone(model, inputs: dict, text: list[int]) -> list[float]:  # noqa: F811
    """Score one text by the whole logits of one unpadded row."""
    ids = torch.cat([inputs["input_ids"], torch.tensor([text])], 1)
    rows = inputs | {
        "input_ids": ids, "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == model.config.image_token_id).int(),
    }  # fmt: skip
    with torch.no_grad():
        logits = model(**rows, use_cache=False).logits[0, -len(text) - 1 : -1]
    return logits.log_softmax(-1).gather(1, torch.tensor(text)[:, None])[:, 0].tolist()


@pytest.mark.parametrize("shared", [True, False])
def test_texts_are_scored_as_alone(model, shared):  # noqa: F811
    """Two texts of one prompt and one of another that begins alike, and one after no picture."""
    model.eval()
    inputs = prompts_of(model, [(SHOWN, 9), (SHOWN, 9), (SHOWN, 4), ([4, 5, 6, 7], 7)])
    expected = [alone(model, one_of(inputs, row), text) for row, text in enumerate(TEXTS)]
    if shared:
        share_prefix(model)
    found = log_probs(model, inputs, TEXTS)
    for one, other in zip(found, expected, strict=True):
        assert one.tolist() == pytest.approx(other, abs=1e-5)
    if shared:
        state = SharedPrefix.of(model)
        assert state.computed < 0.8 * state.given


def test_texts_without_pictures_are_scored(model):  # noqa: F811
    model.eval()
    inputs = prompts_of(model, [([], 9), ([], 20)])
    share_prefix(model)
    found = log_probs(model, inputs, TEXTS[:2])
    assert [len(row) for row in found] == [3, 5] and all((row < 0).all() for row in found)
