"""Learning curves as inline SVG: one small chart per measure, coloured by the page's own style."""

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from html import escape
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

History = list[dict[str, float]]
SMOOTHED = 30  # from so many steps on, a running mean is drawn over the single steps
# Written into the SVG and replaced by what the page's style sheet defines, for light and dark.
_INK = "#010203"
_SERIES = tuple(f"#01020{i}" for i in range(4, 9))
_IDENTIFIER = re.compile(r' id="([^"]*)"')


@dataclass(frozen=True)
class Chart:
    """What one chart shows.

    Attributes:
        label: The vertical axis.
        keys: Names of logged measures; `*` stands for anything.
        share: True if the measure lies in [0, 1]; the axis then shows all of it.
    """

    title: str
    label: str
    keys: tuple[str, ...]
    share: bool = False


LOSS = Chart("Loss", "loss", ("train/loss",))
ACCURACY = Chart("Right tokens", "share of tokens", ("train/mean_token_accuracy",), share=True)
# By stage, in the order of the page; the names are TRL's.
CHARTS: dict[str, tuple[Chart, ...]] = {
    "policy_grpo": (
        Chart("Reward", "mean weighted reward", ("train/reward",)),
        Chart(
            "Each reward's part",
            "mean, before weighting",
            ("train/rewards/*/mean",),
            share=True,
        ),
        Chart("Distance from the start", "KL per token (nats)", ("train/kl",)),
        Chart(
            "Groups that teach nothing",
            "share with zero spread",
            ("train/frac_reward_zero_std",),
            share=True,
        ),
        Chart("Length of answers", "tokens", ("train/completions/mean_length",)),
        Chart("Entropy", "nats per token", ("train/entropy",)),
        LOSS,
    ),
    "policy_dpo": (
        LOSS,
        Chart("Pairs in the right order", "share of pairs", ("train/rewards/accuracies",), True),
        Chart("Implicit rewards", "reward", ("train/rewards/chosen", "train/rewards/rejected")),
    ),
    "policy_sft": (LOSS, ACCURACY),
    "reward_model": (LOSS, ACCURACY),
    "reasoner": (
        LOSS,
        Chart("Dev questions answered right", "share", ("dev/score",), share=True),
        ACCURACY,
    ),
    "judge": (
        LOSS,
        Chart("Dev pairs judged right", "share", ("dev/score",), share=True),
        ACCURACY,
    ),
}


def curves(stage: str, history: History) -> list[str]:
    """Return the charts of a stage as SVG; measures that were not logged are left out."""
    drawn = []
    for chart in CHARTS.get(stage, ()):
        lines = {name: line for name in _names(chart, history) if (line := _line(history, name))}
        if lines:
            drawn.append(_draw(stage, chart, lines))
    return drawn


def reliability(name: str, preferences: Sequence[tuple[float, bool]], bins: int = 10) -> str:
    """Return a reliability diagram as SVG: how sure a judge is, and how often it is right then.

    Args:
        preferences: Probability of the first candidate and whether it is the better one.
    """
    chosen = [(max(p, 1 - p), (p >= 0.5) == first) for p, first in preferences]
    points = []
    for i in range(bins):
        low, high = 0.5 + 0.5 * i / bins, 0.5 + 0.5 * (i + 1) / bins
        held = [(p, hit) for p, hit in chosen if low <= p < high or (p == high == 1.0)]
        if held:
            sure, hits = zip(*held, strict=True)
            points.append((sum(sure) / len(held), sum(hits) / len(held), len(held)))
    with matplotlib.rc_context(_style(f"reliability {name}")):
        figure = Figure(figsize=(4.1, 2.75), layout="constrained")
        axes = figure.add_subplot()
        axes.plot((0.5, 1), (0.5, 1), color=_INK, linewidth=0.6, alpha=0.4)
        sure, right, sizes = zip(*points, strict=True)
        area = [12 + 150 * size / len(chosen) for size in sizes]
        axes.scatter(sure, right, s=area, color=_SERIES[0], alpha=0.8, linewidth=0)
        axes.set_title(f"{name}: sure and right", loc="left", fontsize=10, fontweight="bold")
        axes.set_xlabel("how sure")
        axes.set_ylabel("share right")
        axes.set_xlim(0.48, 1.02)
        axes.set_ylim(-0.03, 1.03)
        axes.spines[["top", "right"]].set_visible(False)
        return _inlined(figure, f"{name}: how sure, and how often right")


def running_mean(values: list[float], window: int) -> list[float]:
    """Return the centred running mean; at both ends the window shrinks.

    >>> running_mean([0, 3, 6, 3], 3)
    [1.5, 3.0, 4.0, 4.5]
    """
    reach = window // 2
    parts = (values[max(0, i - reach) : i + reach + 1] for i in range(len(values)))
    return [sum(part) / len(part) for part in parts]


def _names(chart: Chart, history: History) -> list[str]:
    logged = list(dict.fromkeys(name for row in history for name in row))
    return [name for key in chart.keys for name in logged if fnmatchcase(name, key)]


def _line(history: History, name: str) -> list[tuple[float, float]]:
    points = ((row.get("step", i + 1), row.get(name)) for i, row in enumerate(history))
    return [(step, v) for step, v in points if v is not None and math.isfinite(v)]


def _draw(stage: str, chart: Chart, lines: dict[str, list[tuple[float, float]]]) -> str:
    with matplotlib.rc_context(_style(f"{stage} {chart.title}")):
        legend = 0.19 * len(lines) if len(lines) > 1 else 0  # room for it below the axes, in inches
        figure = Figure(figsize=(4.1, 2.75 + legend), layout="constrained")
        axes = figure.add_subplot()
        for (name, line), color in zip(lines.items(), _SERIES, strict=False):
            _plot(axes, line, color, _label(name))
        axes.set_title(chart.title, loc="left", fontsize=10, fontweight="bold")
        axes.set_xlabel("step")
        axes.set_ylabel(chart.label)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        if chart.share:
            axes.set_ylim(-0.03, 1.03)
        axes.grid(axis="y", color=_INK, alpha=0.12, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=2, width=0.6)
        if len(lines) > 1:
            figure.legend(loc="outside lower left", frameon=False, fontsize=8, handlelength=1.2)
        return _inlined(figure, f"{stage}: {chart.title}")


def _style(salt: str) -> dict[str, Any]:
    colored = ("axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "text.color", "xtick.color",
               "ytick.color")  # fmt: skip
    # the salt: the same run draws the same bytes, for DVC
    return dict.fromkeys(colored, _INK) | {
        "svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 9, "axes.linewidth": 0.6,
    }  # fmt: skip


def _inlined(figure: Figure, title: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _inline(buffer.getvalue(), title)


def _plot(axes, line: list[tuple[float, float]], color: str, label: str) -> None:
    steps, values = zip(*line, strict=True)
    if len(values) < SMOOTHED:
        axes.plot(steps, values, color=color, linewidth=1.5, label=label)
        return
    axes.plot(steps, values, color=color, linewidth=0.7, alpha=0.35)
    smooth = running_mean(list(values), max(5, len(values) // 15))
    axes.plot(steps, smooth, color=color, linewidth=1.8, label=label)


def _label(name: str) -> str:
    return (
        name.removeprefix("train/").removeprefix("rewards/").removesuffix("/mean").replace("_", " ")
    )


def _inline(svg: str, title: str) -> str:
    """Cut a stand-alone SVG down to what may stand inside a page, without outside addresses."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    used = set(re.findall(r"(?:#)([\w.-]+)", svg))  # several charts on a page would repeat the rest
    svg = _IDENTIFIER.sub(lambda m: m[0] if m[1] in used else "", svg)
    svg = re.sub(r"font: [^;\"]*?([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    svg = svg.replace(_INK, "currentColor")
    for i, color in enumerate(_SERIES):
        svg = svg.replace(color, f"var(--series-{i})")
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1)
