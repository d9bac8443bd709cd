"""UnifiedReward-Think: a judge that scores every dimension and adds up before its verdict.

Follows arXiv 2505.03318 in strict semantics: learn the form of a trace from a teacher's, sample own
traces and keep the right ones, reinforce verdicts on the pairs that were wrong, and compare with
the start, with a trace and without. Run it with `python -m flows.think --traces.data my_pairs`, or
from the Prefect UI after `make up`.
"""

from tasks.running.process import be_quiet

be_quiet()

from prefect import flow  # noqa: E402
from prefect.states import State  # noqa: E402

from flows.platform.chain import Chain, main, run_chain  # noqa: E402  (libraries read the switches above)
from flows.platform.names import named  # noqa: E402
from flows.platform.think_summary import print_think_summary, think_scores, think_won  # noqa: E402
from tasks.settings import ThinkSettings  # noqa: E402

STAGES = (
    "traces", "cold_start", "sampled", "think_sft", "thinker", "think_answers", "think_sheet",
)  # fmt: skip
CHAIN = Chain(
    STAGES,
    page="think_sheet/index.html",
    scores=think_scores,
    models={"thinker": "thinking-judge"},
    won=think_won,
)


@flow(name="think", flow_run_name=named("think {settings.cold_start.model} seed {settings.seed}"))
def think(settings: ThinkSettings) -> dict[str, str] | State:
    """Teach a judge to score and to add up before its verdict (UnifiedReward-Think).

    Args:
        settings: They are kept in params.yaml; stages that they do not change are skipped.
    """
    return run_chain(CHAIN, settings)


if __name__ == "__main__":
    main(think, ThinkSettings, print_think_summary)
