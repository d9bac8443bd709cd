"""Which rows the table of Visual-RFT's experiment has, and what they are compared with."""

from collections.abc import Sequence

from tasks.reproduction.arms import Result
from tasks.reproduction.outcome import BASE, SCORE, Claim, Columns, Runs

SFT_BEST, SFT_LAST = "SFT, best on dev", "SFT, fixed budget"
COLUMNS = Columns(
    parts={SCORE: "test", "known": "known", "others": "others"},
    against=(BASE, SFT_BEST),
    shown=("f1_at_50", "ap", "ap50", "ece", "format"),
)
CLAIM = Claim(
    "visual_rft",
    "Few labelled pictures: reinforcement against fine-tuning",
    "The experiment behind Visual-RFT's claim, on the embedded default.",
    highlighted="GRPO",
    untrained="others",
    titles={"known": "known classes", "others": "other tasks"},
)


def questions_of(results: Sequence[Result]) -> dict[str, dict[str, Runs]]:
    """Return the rows of the table, by what was to be learnt."""
    names = dict.fromkeys(result["question"] for result in results)
    return {name: _arms([run for run in results if run["question"] == name]) for name in names}


def _arms(results: Sequence[Result]) -> dict[str, Runs]:
    """Return (result, which model of it) per seed for every row of the table."""
    seeds = sorted({result["seed"] for result in results})
    runs = {(result["arm"], result["seed"]): result for result in results}
    names = list(dict.fromkeys(result["arm"] for result in results))
    rates = [name for name in names if name.startswith("sft") and "bare" not in name]
    chosen = [next(runs[name, seed] for name in rates if (name, seed) in runs) for seed in seeds]
    bare = [runs["sft on bare labels", seed] for seed in seeds]
    arms = {
        BASE: [(runs["base", seed], "best") for seed in seeds],
        SFT_BEST: [(run, "best") for run in chosen],
        SFT_LAST: [(run, "last") for run in chosen],
        "SFT on bare labels, best on dev": [(run, "best") for run in bare],
        "SFT on bare labels, fixed budget": [(run, "last") for run in bare],
    }
    for name in (name for name in names if name.startswith("grpo")):
        title = name.replace("grpo", "GRPO")
        arms[f"{title}, best on dev"] = [(runs[name, seed], "best") for seed in seeds]
        arms[f"{title}, last step"] = [(runs[name, seed], "last") for seed in seeds]
    return arms
