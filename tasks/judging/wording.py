"""The words of a judgement: what a judge is asked, and what it is taught to say.

Eight prompts, of a task and a style each; the sentences of a verdict are UnifiedReward's
(arXiv 2503.05236; specification, section 5). A score keeps the scale of its source, which stands in
the instruction. Of answers about images the letter and the bare number are asked for: what has
learnt to judge so loses eight points when it is fine-tuned to say sentences (docs/tried.md).
"""

from tasks.asking.conversation import Conversation, question
from tasks.prompts import prompt
from tasks.records.judgements import TIE, A, B, Judgement

_ANSWERS = {
    A: "Answer 1 is better",
    B: "Answer 2 is better",
    TIE: "Both answers are equally good",
}
SENTENCES = {
    "image_understanding": _ANSWERS | {A: "A", B: "B"},
    "video_understanding": _ANSWERS,
    "image_generation": {
        A: "Image 1 is better than Image 2",
        B: "Image 2 is better than Image 1",
        TIE: "Both images are equally good",
    },
    "video_generation": {
        A: "Video 1 is better than Video 2",
        B: "Video 2 is better than Video 1",
        TIE: "Both videos are equally good",
    },
}


def asked(judgement: Judgement) -> Conversation:
    """Return what a judge is asked; the pictures are shown before the words."""
    return question(_words(judgement), judgement.media)


def verdict(judgement: Judgement) -> str:
    """Return what a judge is taught to say: the winner's sentence, or the score.

    >>> verdict(Judgement("1", "A ring", (), task="image_generation", winner="B"))
    'Image 2 is better than Image 1'
    >>> verdict(Judgement("1", "A ring", (), task="image_generation", style="point", score=7.0))
    'Final Score: 7'
    """
    j = judgement
    said = SENTENCES[j.task][j.winner] if j.style == "pair" else score_said(j.score or 0.0, j.task)
    if not j.reasons:
        return said
    said = claim(j.task, j.winner) if j.style == "pair" else f"Final Score: {j.score or 0.0:g}"
    return f"{j.reasons.strip()}\n{said}"


def claim(task: str, winner: str) -> str:
    """Return how a verdict is put where it stands among other words.

    >>> claim("image_understanding", "B")
    'Overall Judgment: Answer 2 is better'
    """
    said = _ANSWERS if task.endswith("understanding") else SENTENCES[task]
    return f"Overall Judgment: {said[winner]}"


def score_said(score: float, task: str) -> str:
    """Return how a score is written."""
    return f"{score:g}" if task == "image_understanding" else f"Final Score: {score:g}"


def _words(j: Judgement) -> str:
    a, b = (*j.responses, "", "")[:2]
    values = {
        "question": j.prompt, "a": a, "b": b, "frames": str(len(j.sides[0])),
        "low": f"{j.scale[0]:g}", "high": f"{j.scale[1]:g}",
    }  # fmt: skip
    match j.task, j.style:
        case "image_understanding", "pair":
            return prompt("judge/image_understanding_pair", **values)
        case "video_understanding", "pair":
            return prompt("judge/video_understanding_pair", **values)
        case "image_generation", "pair":
            return prompt("judge/image_generation_pair", **values)
        case "video_generation", "pair":
            return prompt("judge/video_generation_pair", **values)
        case "image_understanding", _:
            return prompt("judge/image_understanding_point", **values)
        case "video_understanding", _:
            return prompt("judge/video_understanding_point", **values)
        case "image_generation", _:
            return prompt("judge/image_generation_point", **values)
        case _:
            return prompt("judge/video_generation_point", **values)
