"""The whole chain: synthesis → reward model → preferences → policy → benchmarks → report.

Run it with `make demo`, `python -m flows.align --policy_grpo.steps 50` (any setting can be given;
they are kept in params.yaml), or from the Prefect UI after `make up`.
"""

from tasks.running.process import be_quiet

be_quiet()

from prefect import flow  # noqa: E402
from prefect.states import State  # noqa: E402

from flows.platform.chain import Chain, main, run_chain  # noqa: E402  (libraries read the switches above)
from flows.platform.names import named  # noqa: E402
from flows.platform.summary import chain_scores, chain_won, print_summary  # noqa: E402
from tasks.settings import AlignSettings  # noqa: E402

STAGES = (
    "intake",
    "synthesis",
    "reward_model",
    "policy_sft",
    "preferences",
    "policy_dpo",
    "policy_grpo",
    "answers_base",
    "answers_policy_sft",
    "answers_policy_dpo",
    "answers_policy_grpo",
    "benchmarks",
    "report",
)
CHAIN = Chain(
    STAGES,
    page="report/index.html",
    scores=chain_scores,
    models={"policy_grpo": "policy", "reward_model": "reward-model"},
    won=chain_won,
)


@flow(name="align", flow_run_name=named("align {settings.model} seed {settings.seed}"))
def align(settings: AlignSettings) -> dict[str, str] | State:
    """Align a vision-language model, from raw questions to a report.

    Synthesises grounded chains of thought, trains a reward model, builds preference pairs, trains
    the policy (fine-tuning, DPO, GRPO), benchmarks every policy against the base and draws a
    report.

    Args:
        settings: They are kept in params.yaml; stages that they do not change are skipped.
    """
    return run_chain(CHAIN, settings)


if __name__ == "__main__":
    main(align, AlignSettings, print_summary)
