"""Visual-RFT: adapt a model to a few labelled pictures with rewards that a program computes.

Follows arXiv 2503.01785 in strict semantics: read a data set (COCO, LVIS, class folders, RefCOCO,
LISA), choose k examples per class, probe what there is to elicit, reinforce with GRPO (or fine-tune
on the same examples: `--reinforced.method sft`), and compare with the starting model on held-out
questions. Run it with `python -m flows.reinforce --shots.recipe classification`, or from the
Prefect UI after `make up`.
"""

from tasks.running.process import be_quiet

be_quiet()

from prefect import flow  # noqa: E402
from prefect.states import State  # noqa: E402

from flows.platform.chain import Chain, main, run_chain  # noqa: E402  (libraries read the switches above)
from flows.platform.names import named  # noqa: E402
from flows.platform.summary import few_shot_scores, few_shot_won, print_few_shot_summary  # noqa: E402
from tasks.settings import ReinforceSettings  # noqa: E402

STAGES = ("shots", "reinforced", "perception", "few_shot_page")
CHAIN = Chain(
    STAGES,
    page="few_shot_page/index.html",
    scores=few_shot_scores,
    models={"reinforced": "few-shot-policy"},
    won=few_shot_won,
)


@flow(
    name="reinforce",
    flow_run_name=named(
        "{settings.shots.recipe} by {settings.reinforced.method} seed {settings.seed}"
    ),
)
def reinforce(settings: ReinforceSettings) -> dict[str, str] | State:
    """Reinforce a vision-language model from a few labelled examples (Visual-RFT).

    Recipes: classification, detection, grounding, open vocabulary; each by GRPO or, as its
    baseline, by fine-tuning on the same examples.

    Args:
        settings: They are kept in params.yaml; stages that they do not change are skipped.
    """
    return run_chain(CHAIN, settings)


if __name__ == "__main__":
    main(reinforce, ReinforceSettings, print_few_shot_summary)
