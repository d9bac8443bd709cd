"""The measured tables of the pages, each made of the file that has what was measured."""

from collections.abc import Callable, Iterable
from functools import partial
from statistics import mean
from textwrap import fill
from typing import Any

BEST = "GRPO, best on dev"
SFT, BARE = "SFT, best on dev", "SFT on bare labels, best on dev"
AGAINST_SFT, AGAINST_BASE = f"against {SFT}", "against base"
# tasks of the base: what readers call them, the measure, whether a majority answer makes sense
BASE = {
    "attribute questions": ("attribute/score", "exact", True),
    "counting": ("count/score", "exact", True),
    "region to words": ("region/score", "exact", True),
    "caption": ("caption/score", "sentence F1", False),
    "reading in a box": ("read_box/score", "exact", True),
    "chart value": ("chart_value/score", "exact", True),
    "table value": ("table_value/score", "exact", True),
    "table value, reasoning with boxes": ("table_reasoned/score", "exact", True),
    "receipt value": ("receipt_value/score", "exact", True),
    "detection of one shape": ("detect/f1_at_50", "F1@0.5", False),
    "detection of all objects": ("detect_all/f1_at_50", "F1@0.5", False),
    "grounding": ("ground/score", "mean IoU", False),
    "instruction following": ("instruct/score", "exact", True),
    "text only": ("text_only/score", "exact", True),
    "which of two captions is better, one order": ("judge_pair/score", "exact", True),
    '"Find every …" (careless on purpose)': ("find/score", "strict overlap", False),
    '"Tell me what you see." (careless on purpose)': ("tell/score", "sentence F1", False),
    "relations": ("relation/score", "exact", True),
    "chart differences": ("chart_difference/score", "exact", True),
    "motion in a clip": ("motion/score", "exact", True),
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of Markdown.

    >>> print(table(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    names = list(head)
    lines = [names, *rows]
    told = ["| " + " | ".join(cells) + " |" for cells in lines]
    return "\n".join([told[0], "|---" * len(names) + "|", *told[1:]])


def demo(facts: dict) -> str:
    """Return what each stage of the demo measured."""
    made, judge, pairs = (facts["metrics"][s] for s in ("synthesis", "reward_model", "preferences"))
    margins = [f"{100 * judge[f'pair_accuracy_margin_{n}']:.0f}" for n in (1, 2, 3)]
    cells = {task: row for task, row in facts["table"].items()}
    others = cells["other tasks"]

    def gained(task: str, policy: str) -> str:
        row = cells[task]
        ours = row[policy]
        change = "{:+.3f} [{:+.3f}, {:+.3f}]".format(
            *(ours[name] for name in ("difference", "difference_low", "difference_high"))
        )
        return f"{row['base']['mean']:.2f} → {ours['mean']:.2f} ({change}, n {row['n']})"

    def told(policy: str, what: str, task: str) -> str:
        return (
            f"{what} {gained(task, policy)}; all {facts['tasks'] - 2} other tasks together "
            f"{gained('other tasks', policy)}, Holm-adjusted {_p(others[policy]['p_adjusted'])}"
        )

    return table(("stage", "figure"), [
        ("synthesis", f"{made['yield']:.1%} of {made['questions']:.0f} questions get a chain whose "
         f"every box is verified; {made['precision_proposed']:.1%} of the "
         f"{made['proposed_boxes']:.0f} proposed boxes point at the true text, and "
         f"{made['precision_verified']:.1%} of the {made['verified_boxes']:.0f} verified"),
        ("reward model", f"{judge['pair_accuracy']:.1%} of {judge['pairs']:.0f} held-out "
         f"pairs, both orders averaged ({' / '.join(margins)} % at one / two / three mistakes "
         f"apart); same winner in both orders {judge['swap_consistency']:.0%}; unreadable "
         f"{judge['unreadable']:.0%}"),
        ("preferences", f"{pairs['order_accuracy']:.1%} of {pairs['pairs']:.0f} pairs truly "
         f"ordered, against {pairs['order_accuracy_ranked_only']:.0%} of the ranked pairs before "
         "sifting"),
        ("DPO", told("policy_dpo", '"Tell me what you see.", sentence F1:', "tell")),
        ("GRPO", told("policy_grpo", '"Find every …", strict overlap:', "find")
         + f'; "Tell …" {gained("tell", "policy_grpo")}'),
    ])  # fmt: skip


def demo_time(facts: dict) -> str:
    """Return when the demo was measured, and what it took."""
    minutes = sum(facts["seconds"].values()) / 60
    return fill(
        f"({facts['measured']}, two cores: {minutes:.1f} minutes in its stages, GRPO of them "
        f"{facts['seconds']['policy_grpo'] / 60:.1f}; peak memory {facts['peak_memory_gb']} GB; a "
        f"second run, which recomputes nothing, {facts['second_run_seconds']:.0f} s)", 110,
    )  # fmt: skip


def base(facts: dict) -> str:
    """Return the shipped model's scores on held-out pictures, in percent."""
    rows = []
    for name, (key, measure, guessed) in BASE.items():
        task = key.partition("/")[0]
        majority = f"{100 * facts[f'{task}/majority']:.0f}" if guessed else "–"
        rows.append(
            (name, f"{100 * facts[key]:.0f}", measure, f"{facts[f'{task}/n']:.0f}", majority)
        )
    return table(("held-out task", "score", "measure", "n", "majority baseline"), rows)


def grpo(facts: dict) -> str:
    """Return a GRPO step of stock TRL beside ours."""
    rows = []
    for case in facts["cases"]:
        stock, ours = (case["seconds"][who]["step"] for who in ("stock", "ours"))
        target = f" ({case['target']:.1f})" if case["target"] else ""
        limit, share = case["limit"], case["share_of_limit"]
        rows.append((
            case["case"].replace(" answers", "").replace("tiny", "shipped tiny"),
            f"{stock:.1f} s", f"{ours:.1f} s", f"**{case['ratio']:.2f}**{target}",
            f"{limit:.2f}" if limit else "–", f"{100 * share:.0f}%" if share else "–",
            f"{case['ratio_generate']:.1f} / {case['ratio_train']:.1f}",
            f"{case['peak_gb']['stock']:.1f} → {case['peak_gb']['ours']:.1f} GB",
        ))  # fmt: skip
    return table(
        ("prompt + answer tokens, answers per prompt", "stock", "ours", "ratio (target)", "limit",
         "share of it", "generate / train", "peak memory"), rows,
    )  # fmt: skip


def judging_server(facts: dict) -> str:
    """Return what the judging server costs beside a judge in this process."""
    repeats = ", ".join(f"{ratio:.2f}" for ratio in facts["ratios_of_repeats"])
    return (
        f"{facts['requests']:,} pairs in both orders, one a request, from {facts['clients']} "
        f"clients at once: **{facts['ratio']:.2f}** of\nthe throughput of one call in this process "
        f"(0.7 was wanted; {repeats} in its repeats): {facts['server_per_second']:.0f} beside "
        f"{facts['in_process_per_second']:.0f} pairs a\nsecond, {facts['lost']} requests lost, "
        f"{facts['other_winners']} other winners."
    )


def tower(facts: dict) -> str:
    """Return what a frozen tower's memory brings."""
    slow, fast = (facts["seconds"][name] for name in ("every step", "once"))
    return (
        f"A step of fine-tuning on traces about two pictures takes {fast:.2f} s and not "
        f"{slow:.2f}: **{facts['ratio']:.2f}** times as fast (1.3\nwas wanted), the losses "
        f"{facts['losses_apart']:.0e} apart at most (`make bench-tower`, `bench/tower.json`)."
    )


def early_exit(facts: dict) -> str:
    """Return how much faster sampling is where ended answers leave the batch."""
    found = facts["early_exit"]
    return (
        f"With the shipped model's own answers ({found['mean_length']:.0f} tokens on average, "
        f"{found['longest']:.0f} the longest), letting\nended answers leave the batch makes "
        f"sampling {found['ratio']:.2f} times as fast."
    )


def detection(facts: dict) -> str:
    """Return the time that average precision takes, by library."""
    ours = facts["ratio_to_ours"]
    rows = ((name, f"{s:.1f} s", f"{ours[name]:.1f}") for name, s in facts["seconds"].items())
    return table(("COCO's average precision", "seconds", "times ours"), rows)


def platform(facts: dict) -> str:
    """Return what Prefect, DVC and MLflow cost beside a plain script."""
    found, limits = facts["found"], facts["limits"]
    chain, script = (mean(run["seconds"] for run in facts[kind]) for kind in ("platform", "plain"))
    return table(("", "measured", "promised"), [
        ("a chain, from its form to *Completed*", f"{chain:.0f} s beside {script:.0f} s: "
         f"+{found['overhead_seconds']:.0f} s, {100 * found['overhead_share']:.1f} %",
         f"{limits['overhead_seconds']:.0f} s, {100 * limits['overhead_share']:.0f} %"),
        ("of it outside the stages (processes, hashes, databases)",
         f"{found['outside_stages_seconds']:.0f} s, "
         f"{100 * found['outside_stages_share']:.1f} %", ""),
        ("the script's own runs", f"differ by {found['plain_runs_differ_seconds']:.0f} s", ""),
        ("a chain in which nothing has changed", f"{found['cached_seconds']:.1f} s",
         f"{limits['cached_seconds']:.0f} s"),
        ("`make up`, until the forms are there", f"{found['ready_seconds']:.0f} s",
         f"{limits['ready_seconds']:.0f} s"),
        ("`make up`, memory of all its processes", f"{found['memory_gb']:.2f} GB",
         f"{limits['memory_gb']} GB"),
    ])  # fmt: skip


def arms(question: str, facts: dict) -> str:
    """Return every arm of the experiment on one question; boxes have AP and calibration."""
    boxes = "ap50" in facts[question][0]
    rows = []
    for row in facts[question]:
        score, known, others = row["score"], row["known"], row["others"]
        rows.append((
            "start" if row["arm"] == "base" else row["arm"], share(score),
            change(score[AGAINST_SFT]) if row["arm"] not in ("base", SFT) else "–",
            *(f"{100 * row[name]:.1f}" for name in ("ap50", "ece") if boxes),
            *([] if boxes else [f"{100 * row['format']:.0f}"]),
            f"{100 * known['mean']:.1f}",
            change(others[AGAINST_BASE]) if AGAINST_BASE in others else share(others),
            ", ".join(map(str, row["best_steps"])) if "best_steps" in row else "–",
            f"{row['seconds']:.0f}" if "seconds" in row else "–",
        ))  # fmt: skip
    return table(
        ("arm", "score", f"against {SFT}", *(("AP50", "ECE") if boxes else ("format",)),
         "known classes", "other tasks, change", "best steps", "core-s"), rows,
    )  # fmt: skip


def verdict(facts: dict) -> str:
    """Return GRPO at its best beside fine-tuning at its best, paired, for every question."""
    rows = []
    for question in facts:
        start, ours, sft, bare = (_arm(facts, question, a) for a in ("base", BEST, SFT, BARE))
        rows.append((
            question, f"{100 * start['score']['mean']:.1f} → {100 * ours['score']['mean']:.1f}",
            *(change(ours[part][AGAINST_SFT]) for part in ("score", "known", "others")),
            " / ".join(
                f"{100 * arm['others'][AGAINST_BASE]['mean']:+.1f}" for arm in (ours, sft, bare)
            ),
        ))  # fmt: skip
    return table(
        ("", "start → GRPO", "GRPO − SFT, what was learnt", "known classes", "other tasks",
         "other tasks change under GRPO / SFT / bare labels"), rows,
    )  # fmt: skip


def headline(facts: dict) -> str:
    """Return what reinforcement elicits, and what it gains over fine-tuning, in one line."""
    told = (
        f"{question} {100 * _arm(facts, question, 'base')['score']['mean']:.1f} → "
        f"{100 * (ours := _arm(facts, question, BEST))['score']['mean']:.1f} "
        f"({100 * ours['score'][AGAINST_SFT]['mean']:+.1f} against SFT)"
        for question in facts
    )
    return ", ".join(told)


def _arm(facts: dict, question: str, arm: str) -> dict[str, Any]:
    return next(row for row in facts[question] if row["arm"] == arm)


def share(cell: dict) -> str:
    """Return a share in percent, with its interval."""
    return "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * cell[name] for name in ("mean", "low", "high")))


def change(cell: dict) -> str:
    """Return a difference in points, with its interval and its p-values."""
    mean = 100 * cell["mean" if "mean" in cell else "difference"]
    low, high = (100 * cell[name] for name in ("low", "high"))
    told = f"{mean:+.1f} [{low:+.1f}, {high:+.1f}], {_p(cell['p_value'])}"
    adjusted = cell.get("p_adjusted")
    return told if adjusted is None else f"{told} (Holm: {_p(adjusted)})"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p {value:.3f}"


def pilot(facts: dict) -> str:
    """Return what a joint judge learns of all judgements there are, beside its start."""
    rows = []
    for question, held in facts.items():
        name, comma, task = question.partition(", ")
        if name != "pilot" or not comma:
            continue
        cells = [(share(row["score"]), share(row["blind"])) for row in held]
        rows.append((task.replace("_", " "), *(text for pair in cells for text in pair)))
    return table(
        ("dev pairs, both orders", "start", "without pictures", "joint, plenty of judgements",
         "without pictures"), rows,
    )  # fmt: skip


def pairs_of_ways(facts: dict) -> str:
    """Return what every way of making preference pairs gives, and what a policy learns of it."""
    rows = [
        (
            row["arm"].replace("_", "-"),
            *(f"{100 * row[name]:.1f}" if name in row else "–"
              for name in ("order_accuracy", "yield")),
            f"{row['gap']:.2f}" if "gap" in row else "–", share(row["score"]),
            *(change(row["score"][f"against {other}"]) if f"against {other}" in row["score"]
              else "–" for other in ("base", "random")),
            f"{row['seconds']:.0f}" if "seconds" in row else "–",
        )
        for row in facts["preference pairs"]
    ]  # fmt: skip
    return table(
        ("pairs made by", "truly ordered, %", "prompts with a pair, %", "gap", "F1 after DPO",
         "against the start", "against random pairs", "core-s"), rows,
    )  # fmt: skip


DEMO, VISUAL_RFT = "bench/demo.json", "bench/visual_rft.json"
UNIFIED_REWARD = "bench/unified_reward.json"
QUESTIONS = ("detection", "classification", "open vocabulary")


def judging(facts: dict) -> str:
    """Return what a judge behind its endpoint does beside one in the same process."""
    return (
        f"{facts['requests']:,} pairs, each a request, from {facts['clients']} clients: "
        f"{facts['server_per_second']:.1f} a second through the endpoint, "
        f"{facts['in_process_per_second']:.1f} in one process ({100 * facts['ratio']:.0f} %); "
        f"{facts['lost']} lost, {facts['other_winners']} with another winner."
    )


def rows_beside(facts: dict) -> str:
    """Return work of another side beside ours, with ratios and memory."""
    rows = []
    for row in facts["rows"]:
        target = f" ({row['target']:g})" if row["target"] else ""
        peak = row["peak_gb"]
        rows.append((
            row["work"], f"{row['seconds']['theirs']:.1f} s", f"{row['seconds']['ours']:.1f} s",
            f"**{row['ratio']:.2f}**{target}",
            f"{peak['theirs']:.2f} → {peak['ours']:.2f} GB" if peak else "–",
        ))  # fmt: skip
    return table(("work", "other", "ours", "ratio (target)", "peak memory"), rows)


def asking(facts: dict) -> str:
    """Return what asking costs beside prompts that are computed as often as they have answers."""
    held = facts["memory"]
    return rows_beside(facts) + (
        f"\n\nA memory of {held['answers']:,} answers opens, and gives 64 of them, in "
        f"{1000 * held['seconds']:.0f} ms; its file has {held['file_gb']:.2f} GB, and none of it "
        "stays in memory."
    )


# what stands under a name: from which file, and how it is told
TABLES: dict[str, tuple[str, Callable[[dict], str]]] = {
    "demo": (DEMO, demo),
    "demo, when": (DEMO, demo_time),
    "headline of UnifiedReward": (
        DEMO,
        lambda facts: f"{facts['metrics']['reward_model']['pair_accuracy']:.1%} of held-out pairs; "
        f"DPO's sentence F1 {facts['table']['tell']['base']['mean']:.2f} → "
        f"{facts['table']['tell']['policy_dpo']['mean']:.2f}",
    ),
    "headline of Visual-RFT": (VISUAL_RFT, headline),
    "pilot of judges": (UNIFIED_REWARD, pilot),
    "ways of making pairs": (UNIFIED_REWARD, pairs_of_ways),
    "verdict": (VISUAL_RFT, verdict),
    **{name: (VISUAL_RFT, partial(arms, name)) for name in QUESTIONS},
    "average precision": ("bench/detection.json", detection),
    "judging server": ("bench/judging.json", judging_server),
    "grpo": ("bench/grpo.json", grpo),
    "frozen tower": ("bench/tower.json", tower),
    "early exit": ("bench/grpo.json", early_exit),
    "platform": ("bench/platform.json", platform),
    "asking": ("bench/asking.json", asking),
    "base": ("outputs/metrics/base.json", base),
}  # fmt: skip
