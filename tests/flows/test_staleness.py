"""What becomes stale when something changes: asked of DVC itself, on results that are committed.

Every stage has a result that was never computed: DVC looks at hashes alone. It is asked in this
process, where it takes a quarter of what the command does.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from tasks.settings import load_settings, save_settings
from tests.flows.conftest import SHIPPED, run

ASK = {"synthesis", "reward_model", "preferences"}
THINK = {"traces", "cold_start", "think_sft", "thinker", "unified_reward_think_arms"}
TRAIN = (THINK - {"traces"}) | {
    "reward_model", "policy_sft", "policy_dpo", "policy_grpo", "reinforced", "visual_rft_arms",
    "judge", "scalar_judge", "retriever", "boxes", "reasoner", "unified_reward_arms", "gcot_arms",
    "scalecap_arms", "light_colpali_arms",
}  # fmt: skip
# what draws the micro-world
WORLDS = {
    "judging_world", "grounding_world", "caption_world", "thinking_world", "page_world",
    "page_sets",
}  # fmt: skip
# stages that know the kinds of questions, and by them the rewards
ANSWERS = {"answers_base", "answers_policy_sft", "answers_policy_dpo", "answers_policy_grpo"}
KNOW_KINDS = ANSWERS | THINK | {
    "think_sheet",
    "intake", "synthesis", "reward_model", "policy_grpo", "benchmarks", "report", "shots",
    "reinforced", "perception", "few_shot_page", "visual_rft_arms", "judgements", "preferred",
    "judge_sheet", "lessons", "reasoning_page", "unified_reward_arms", "gcot_arms",
    "drafts", "caption_answers", "caption_page",
    "scalecap_arms", "pages", "retrieval_page",
}  # fmt: skip


def appended(name: str, text: str = "# edited\n") -> Callable[[Path], None]:
    def change(root: Path) -> None:
        with (root / name).open("a") as file:
            file.write(text)

    return change


def setting(section: str, name: str, value: object) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        held = load_settings(root / "params.yaml")
        setattr(getattr(held, section) if section else held, name, value)
        save_settings(held, root / "params.yaml")

    return change


def heavier(root: Path) -> None:
    """Other weights under the same name."""
    file = root / "outputs" / "base" / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.unlink()  # it may be a link into DVC's cache
    file.write_bytes(data)


CHANGES = {
    "how a stage is run": (appended("tasks/running/progress.py"), set()),
    "how settings are read": (appended("tasks/settings/files.py"), set()),
    "a flow": (appended("flows/platform/chain.py"), set()),
    "a constant of one stage": (appended("tasks/stages/align/synthesis.py"), {"synthesis"}),
    "a reward": (appended("tasks/rewards/detection.py"), KNOW_KINDS),
    "the signs of tricks": (appended("tasks/rewards/suspicion.py"), KNOW_KINDS),
    "a kind of question": (appended("tasks/questions/tagged_box.py"), KNOW_KINDS),
    "GRPO": (
        appended("tasks/training/grpo.py"),
        {"policy_grpo", "reinforced", "visual_rft_arms"} | THINK - {"traces"},
    ),
    "DPO": (appended("tasks/training/dpo.py"), {"policy_dpo", "unified_reward_arms"}),
    "the loop of all trainings": (appended("tasks/training/fitting.py"), TRAIN),
    "how processes train together": (appended("tasks/training/work.py"), TRAIN),
    "a prompt of the judge": (
        appended("tasks/prompts/judge/image_understanding_pair.txt", "!"),
        {"reward_model", "preferences", "judge", "scalar_judge", "judge_answers", "preferred",
         "unified_reward_arms", "sampled", "think_answers"} | THINK,
    ),
    "a prompt of the synthesis": (
        appended("tasks/prompts/ground/read_crop.txt", "!"), 
        {"synthesis", "boxes", "reasoner", "reasoning", "gcot_arms"} | WORLDS,
    ),
    "a style sheet": (
        appended("tasks/reporting/page.css.j2", "\n"), 
        {"report", "few_shot_page", "visual_rft", "judge_sheet", "reasoning_page",
         "unified_reward", "gcot", "scalecap", "caption_page", "think_sheet",
         "unified_reward_think", "retrieval_page", "light_colpali"},
    ),
    "weights under the same name": (
        heavier, {"synthesis", "reward_model", "policy_sft", "answers_base", "judge",
                  "scalar_judge", "judge_answers", "preferred", "lessons", "boxes", "reasoner",
                  "reasoning", "unified_reward_arms", "scalecap_arms", "traces",
                  "light_colpali_arms"},
    ),
    "the data": (
        appended("data/summary.json", "\n"),
        {"intake", "visual_rft_arms", "preferred", "judgements", "lessons", "unified_reward_arms",
         "gcot_arms"},
    ),
    "a setting of one stage, which the report tells": (
        setting("policy_dpo", "beta", 0.2), {"policy_dpo", "report"},
    ),
    "one policy": (
        appended("outputs/policy_dpo/result"),
        {"policy_dpo", "policy_grpo", "answers_policy_dpo", "report"},
    ),
    "where and at what price work is done": (setting("machine", "rate_per_hour", 2.5), set()),
    "the intervals' resamples": (
        setting("benchmarks", "resamples", 500),
        {"benchmarks", "report", "perception", "few_shot_page", "visual_rft", "judge_answers",
         "judge_sheet", "reasoning", "reasoning_page", "unified_reward", "gcot",
         "scalecap", "caption_answers", "caption_page", "think_answers", "think_sheet",
         "unified_reward_think", "retrieval", "retrieval_page", "light_colpali"},
    ),
    "the seed": (
        setting("", "seed", 7),
        {"synthesis", "reward_model", "policy_sft", "preferences", "policy_dpo", "policy_grpo",
         "benchmarks", "report", "shots", "reinforced", "perception", "few_shot_page",
         "judge", "scalar_judge", "judge_answers", "judge_sheet", "preferred", "lessons", "boxes",
         "reasoner", "reasoning", "reasoning_page", "drafts", "objects", "captions",
         "caption_answers", "caption_page", "sampled", "think_answers", "think_sheet", "retriever",
         "retrieval_page", "light_colpali_arms"} | WORLDS | THINK - {"unified_reward_think_arms"},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def checkout(make_checkout) -> Path:
    root = make_checkout({})
    pipeline = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    made = [stage for stage in pipeline if stage not in SHIPPED]
    for stage in made:
        (root / "outputs" / stage).mkdir()
        (root / "outputs" / stage / "result").write_text(stage)
        for file in pipeline[stage].get("metrics", []):
            (root / file).write_text("{}")
    done = run(root, "dvc", "commit", "-q", "-f", *made)
    assert done.returncode == 0, done.stderr
    assert stale(root) == set()
    return root


def stale(root: Path) -> set[str]:
    """Return the stages of which DVC says that something they depend on has changed."""
    with Repo(root) as repo:
        told = repo.status()  # `<file>:<stage>`, where the file is another than that of here
    stages = {name.rpartition(":")[2] for name in told}
    return {name for name in stages if not name.endswith("data.dvc")}


@pytest.fixture
def kept(checkout) -> Iterator[None]:
    """Put back what a test changes."""
    parts = ("tasks", "flows", "data", "outputs/base", "outputs/policy_dpo")
    files = [file for name in parts for file in (checkout / name).rglob("*")]
    files.append(checkout / "params.yaml")
    files = [file for file in files if file.is_file()]
    before = {file: file.read_bytes() for file in files}
    yield
    for file, data in before.items():
        if file.read_bytes() != data:
            file.unlink()
            file.write_bytes(data)


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_makes_stale_what_depends_on_it_and_nothing_else(checkout, kept, what):
    change, expected = CHANGES[what]
    change(checkout)
    assert stale(checkout) - set(SHIPPED) == expected
