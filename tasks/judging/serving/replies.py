"""What the judging server answers: the forms of OpenAI's API and of rerankers, and its own.

>>> share(Points(written=7.0, expected=None), (1.0, 10.0))
0.6666666666666666
"""

import secrets
import time
from typing import Any

from tasks.asking.answers import Malformed
from tasks.asking.conversation import Answer, Scored
from tasks.judging.judge import Points, Verdict, ranking
from tasks.judging.serving.answering import Chatted
from tasks.judging.serving.door import Refused
from tasks.judging.serving.forms import ChatForm, JudgeForm, RerankForm
from tasks.judging.traces import parse_trace, thought_and_answer
from tasks.judging.trust import Trust
from tasks.records.judgements import SCALE

LEAST = -9999.0  # JSON has no infinity; OpenAI's own servers say this


def completion(form: ChatForm, chatted: Chatted) -> dict[str, Any]:
    """Return the answers to a conversation.

    Raises:
        Refused: There are none.
    """
    for answer in chatted.answers:
        if answer.lost:
            raise Refused(f"The model has no answer now: {answer.unanswered}.", "lost", 503)
        if answer.unanswered:
            raise Refused(f"This cannot be asked: {answer.unanswered}.", "unanswered")
    written = sum(answer.tokens for answer in chatted.answers)
    choices = [
        {
            "index": i,
            "message": {"role": "assistant"} | _message(answer.text, form.logprobs),
            "finish_reason": "length" if answer.ended == "limit" else "stop",
            "logprobs": _log_probs(answer, chatted.scores[i]) if form.logprobs else None,
        }
        for i, answer in enumerate(chatted.answers)
    ]
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}", "object": "chat.completion",
        "created": int(time.time()), "choices": choices,
        "usage": {
            "prompt_tokens": chatted.prompt_tokens, "completion_tokens": written,
            "total_tokens": chatted.prompt_tokens + written,
        },
    }  # fmt: skip


def _message(text: str, whole: bool) -> dict[str, str]:
    """Return an answer as servers of models that reason do: the thought in a field of its own.

    Args:
        whole: Leave it as it is: log-probabilities are those of all of it.
    """
    try:
        thought, answer = thought_and_answer(text)
    except Malformed:
        return {"content": text}
    return {"content": text} if whole else {"content": answer, "reasoning_content": thought}


def _reasoning(form: JudgeForm, verdict: Verdict) -> list[dict[str, Any]]:
    """Return the traces of a verdict, in the order of each: its words, and its scores."""
    found = []
    for text in verdict.texts:
        try:
            trace = parse_trace(text, form.task)
        except Malformed as reason:
            found.append({"text": text, "scores": {}, "totals": [None, None], "why": str(reason)})
            continue
        totals = [total and total.stated for total in trace.totals]
        scores = {row.name: row.scores for row in trace.rows}
        found.append({"text": text, "scores": scores, "totals": totals, "why": ""})
    return found


def _log_probs(answer: Answer, scored: Scored) -> dict[str, Any]:
    rows = zip(scored.offsets, scored.log_probs, strict=True)
    texts = [(answer.text[start:end], score) for (start, end), score in rows]
    return {
        "content": [
            {
                "token": text, "logprob": max(score, LEAST), "bytes": list(text.encode()),
                "top_logprobs": [],
            }
            for text, score in texts
        ]
    }  # fmt: skip


def judged(
    form: JudgeForm, trust: Trust, verdicts: list[Verdict], points: list[Points]
) -> dict[str, Any]:
    """Return what a judge says of candidates; what it does not say is null, and never a win."""
    if form.mode == "think":  # what was fitted is of bare verdicts
        trust = Trust(below=trust.below)
    known = {
        pair: trust.verdict(verdict.preference)
        for pair, verdict in zip(form.places, verdicts, strict=True)
        if verdict.preference is not None
    }
    rows = []
    for pair, verdict in zip(form.places, verdicts, strict=True):
        preference, winner = known.get(pair, (None, None))
        rows.append(
            {
                "candidates": pair, "orders": verdict.orders, "preference": preference,
                "winner": winner, "unjudged": verdict.unjudged,
            }
            | ({"reasoning": _reasoning(form, verdict)} if form.mode == "think" else {})
        )  # fmt: skip
    scores = [
        {
            "written": one.written, "expected": one.expected, "share": share(one, form.scale),
            "unjudged": one.unjudged,
        }
        for one in points
    ]  # fmt: skip
    written = sum(one.tokens for one in verdicts) + sum(one.tokens for one in points)
    return {
        "verdicts": rows, "scores": scores, "ranking": _ranked(form, known),
        "calibrated": trust.fitted, "usage": {"completion_tokens": written},
    }  # fmt: skip


def _ranked(
    form: JudgeForm, known: dict[tuple[int, int], tuple[float, str]]
) -> list[dict[str, Any]]:
    """Return the candidates that were compared, the best first."""
    if not known:
        return []
    strengths = ranking({pair: one[0] for pair, one in known.items()}, len(form.candidates))
    compared = {i for pair in known for i in pair}
    best = sorted(compared, key=lambda i: (-strengths[i], i))
    return [{"index": i, "strength": strengths[i]} for i in best]


def reranked(form: RerankForm, points: list[Points]) -> dict[str, Any]:
    """Return documents by their score; those without one are named beside."""
    shares = [share(one, SCALE) for one in points]
    scores = {i: one for i, one in enumerate(shares) if one is not None}
    best = sorted(scores, key=lambda i: (-scores[i], i))[: form.top_n]
    results = [
        {"index": i, "relevance_score": scores[i]}
        | ({"document": {"text": form.texts[i]}} if form.return_documents else {})
        for i in best
    ]
    return {
        "id": f"rerank-{secrets.token_hex(12)}", "results": results,
        "unjudged": [i for i, one in enumerate(shares) if one is None],
        "usage": {"total_tokens": sum(one.tokens for one in points)},
    }  # fmt: skip


def share(points: Points, scale: tuple[float, float]) -> float | None:
    """Return how far up its scale a score is, in [0, 1]: the expected one where it is told."""
    score = points.written if points.expected is None else points.expected
    return None if score is None else (score - scale[0]) / (scale[1] - scale[0])
