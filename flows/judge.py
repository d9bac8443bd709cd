"""UnifiedReward: one judge for pictures and clips, described or generated, by pairs and by points.

Follows arXiv 2503.05236 in strict semantics: read judgements (your own, or the public sets), train
one vision-language model to judge all tasks together, say on a sheet how far it can be trusted, and
build preference pairs with it. Run it with `python -m flows.judge --judgements.data my_judgements`,
or from the Prefect UI after `make up`.
"""

from tasks.running.process import be_quiet

be_quiet()

from prefect import flow  # noqa: E402
from prefect.states import State  # noqa: E402

from flows.platform.chain import Chain, main, run_chain  # noqa: E402  (libraries read the switches above)
from flows.platform.names import named  # noqa: E402
from flows.platform.summary import judge_scores, judge_won, print_judge_summary  # noqa: E402
from tasks.settings import JudgeSettings  # noqa: E402

STAGES = ("judgements", "judge", "scalar_judge", "judge_answers", "judge_sheet", "preferred")
CHAIN = Chain(
    STAGES,
    page="judge_sheet/index.html",
    scores=judge_scores,
    models={"judge": "judge"},
    won=judge_won,
)


@flow(name="judge", flow_run_name=named("judge {settings.judge.model} seed {settings.seed}"))
def judge(settings: JudgeSettings) -> dict[str, str] | State:
    """Train one judge of answers, pictures and clips, measure it, and build preferences with it.

    Args:
        settings: They are kept in params.yaml; stages that they do not change are skipped.
    """
    return run_chain(CHAIN, settings)


if __name__ == "__main__":
    main(judge, JudgeSettings, print_judge_summary)
