"""The words of a judgement: what a judge is asked, and what it is taught to say.

Eight prompts, of a task and a style each; the sentences of a verdict are UnifiedReward's
(arXiv 2503.05236; specification, section 5). A score keeps the scale of its source, which stands in
the instruction.
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
    "image_understanding": _ANSWERS,
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

    >>> verdict(Judgement("1", "Q?", (), ("x", "y"), winner="B"))
    'Answer 2 is better'
    >>> verdict(Judgement("1", "Q?", (), ("x",), style="point", score=7.0))
    'Final Score: 7'
    """
    j = judgement
    said = SENTENCES[j.task][j.winner] if j.style == "pair" else score_said(j.score or 0.0)
    if not j.reasons:
        return said
    marker = "Overall Judgment: " if j.style == "pair" else ""
    return f"{j.reasons.strip()}\n{marker}{said}"


def score_said(score: float) -> str:
    """Return how a score is written."""
    return f"Final Score: {score:g}"


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
