"""What fine-tuning is taught is right by the rewards and the benchmark of the same question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.asking.coordinates import Coordinates
from tasks.questions import score
from tasks.records.rows import Sample
from tasks.rewards.detection import overlap_with_true_boxes
from tasks.rewards.grounding import overlap_with_pointed_box
from tasks.rewards.text import exact_final, thinks_then_answers
from tasks.running.errors import UserError
from tasks.training.demonstrations import demonstrations

SIZE = (640, 480)
FRAMES = [Coordinates(100), Coordinates(1000), Coordinates(20)]


def sample(metric: str, *corners: tuple, final: str = "") -> Sample:
    return Sample(id="a", task="a", split="train", prompt="?", metric=metric, label="cat",
                  final=final, corners=[list(c) for c in corners], size=SIZE)  # fmt: skip


@st.composite
def boxes(draw) -> tuple[float, float, float, float]:
    """Draw boxes of any size and place; many are thin, and many lie at the border."""
    sides = []
    for length in SIZE:
        extent = draw(st.one_of(st.floats(0.5, 3), st.floats(1, length)))
        low = draw(st.one_of(st.sampled_from([0.0, length - extent]),
                             st.floats(0, max(0, length - extent))))  # fmt: skip
        sides.append((low, min(float(length), low + extent)))
    (x0, x1), (y0, y1) = sides
    return x0, y0, x1, y1


def samples():
    final = st.text("abc ", min_size=1).filter(str.strip)
    return st.one_of(
        boxes().map(lambda b: sample("tagged_box", b)),
        st.lists(boxes(), max_size=4).map(lambda held: sample("tagged_detections", *held)),
        final.map(lambda text: sample("final", final=text)),
    )


def rewarded(held: Sample, answer: str, frame: tuple[int, int]) -> float:
    """Return what the reward of a sample's own metric pays."""
    if held.metric == "final":
        (paid,) = exact_final([answer], [held.final])
    elif held.metric == "tagged_box":
        true = held.boxes[0].to(frame)
        (paid,) = overlap_with_pointed_box(
            [answer], [[true.x0, true.y0, true.x1, true.y1]], [frame]
        )
    else:
        true = [[b.x0, b.y0, b.x1, b.y1] for b in (box.to(frame) for box in held.boxes)]
        (paid,) = overlap_with_true_boxes([answer], [true], [frame])
    return paid


@given(samples(), st.sampled_from(FRAMES), st.booleans())
def test_every_target_that_is_written_is_right(held, frames, thought):
    frame = frames.frame(SIZE)
    try:
        ((_, answer, _),) = demonstrations([held], frames, thought)
    except UserError:
        sides = [s for b in held.boxes for t in [b.to(frame)] for s in (t.x1 - t.x0, t.y1 - t.y0)]
        assert min(sides) < 4 or len(held.boxes) > 1  # thin, or two at one place
        return
    paid = rewarded(held, answer, frame)
    assert paid == 1 if held.metric == "final" or not held.boxes else paid >= 0.5
    assert all(value == 1 for _, value in score(held, answer, frame).parts)
    assert thinks_then_answers([answer]) == [1.0]


@pytest.mark.parametrize("metric", ["tagged_box", "tagged_detections"])
@pytest.mark.parametrize("box", [(634, 10, 640, 470), (0, 476, 640, 480)], ids=["right", "low"])
def test_a_thin_box_at_the_border_is_not_taught_without_area(metric, box):
    """Its last coordinates are clipped onto its first ones, which its reward pays nothing for."""
    thick = sample(metric, (10, 10, 99, 99))
    (row,) = demonstrations([sample(metric, box), thick], Coordinates(100))
    assert rewarded(thick, row[1], (100, 100)) > 0.9


def test_boxes_that_coordinates_cannot_tell_are_not_taught(capsys):
    twins = sample("tagged_detections", (100, 100, 200, 200), (100.2, 100.2, 200.2, 200.2))
    line, thick = sample("tagged_box", (10, 10, 11, 470)), sample("tagged_box", (10, 10, 99, 99))
    rows = demonstrations([twins, line, thick], Coordinates(100))
    assert len(rows) == 1
    assert "2 examples set aside: `coordinates` cannot tell their boxes" in capsys.readouterr().out
    with pytest.raises(UserError, match="No example can be written"):
        demonstrations([line], Coordinates(100))
