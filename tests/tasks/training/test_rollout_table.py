"""The table of rollouts in MLflow shows the picture first, however many rewards there are."""

from PIL import Image

from tasks.training.rollouts import _columns


def test_the_picture_is_the_first_column():
    rows = [{"step": 1, "question": "q", "answer": "a", "advantage": 0.5}] * 2
    shown = [[Image.new("RGB", (4, 4))]] * 2
    rewards = {f"reward_{number}": [0.0, 1.0] for number in range(12)}
    columns = list(_columns(rows, {"images": shown, "rewards": rewards}))
    assert columns[:2] == ["picture", "step"] and len(columns) == 5 + 12
