"""GCoT: a few questions teach a model new documents, by facts that carry boxes it has read back.

Follows arXiv 2507.02859 in strict semantics: distil chains of thought about a few labelled
questions, find the box of every fact without annotation, keep what reads back, fine-tune on the
chains with their boxes, and compare with the starting model on held-out questions. Run it with
`python -m flows.ground --lessons.data my_receipts`, or from the Prefect UI after `make up`.
"""

from tasks.running.process import be_quiet

be_quiet()

from prefect import flow  # noqa: E402
from prefect.states import State  # noqa: E402

from flows.platform.chain import Chain, main, run_chain  # noqa: E402  (libraries read the switches above)
from flows.platform.ground_summary import ground_scores, ground_won, print_ground_summary  # noqa: E402
from flows.platform.names import named  # noqa: E402
from tasks.settings import GroundSettings  # noqa: E402

STAGES = ("lessons", "boxes", "reasoner", "reasoning", "reasoning_page")
CHAIN = Chain(
    STAGES,
    page="reasoning_page/index.html",
    scores=ground_scores,
    models={"reasoner": "grounded-policy"},
    won=ground_won,
)


@flow(
    name="ground",
    flow_run_name=named(
        "{settings.reasoner.learns} {settings.lessons.examples} examples seed {settings.seed}"
    ),
)
def ground(settings: GroundSettings) -> dict[str, str] | State:
    """Teach a model new documents from a few questions, by facts that carry boxes (GCoT).

    Args:
        settings: They are kept in params.yaml; stages that they do not change are skipped.
    """
    return run_chain(CHAIN, settings)


if __name__ == "__main__":
    main(ground, GroundSettings, print_ground_summary)
