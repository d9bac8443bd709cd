"""Light-ColPali: find the page that answers a question, in an index a ninth of the size.

Follows arXiv 2506.04997: embed every patch of a page, merge alike ones by hierarchical clustering,
train the retriever with merging on, keep the vectors in an index on disk, and measure how well
held-out questions find their page, beside the same pages unmerged. Run it with
`python -m flows.retrieve --pages.data my_pages`, or from the Prefect UI after `make up`.
"""

from tasks.running.process import be_quiet

be_quiet()

from prefect import flow  # noqa: E402
from prefect.states import State  # noqa: E402

from flows.platform.chain import Chain, main, run_chain  # noqa: E402  (libraries read the switches above)
from flows.platform.names import named  # noqa: E402
from flows.platform.retrieve_summary import (  # noqa: E402
    print_retrieve_summary,
    retrieve_scores,
    retriever_won,
)
from tasks.settings import RetrieveSettings  # noqa: E402

STAGES = ("pages", "retriever", "page_index", "retrieval", "retrieval_page")
CHAIN = Chain(
    STAGES,
    page="retrieval_page/index.html",
    scores=retrieve_scores,
    models={"retriever": "retriever"},
    won=retriever_won,
)


@flow(
    name="retrieve",
    flow_run_name=named(
        "{settings.retriever.merging} {settings.retriever.factor} seed {settings.seed}"
    ),
)
def retrieve(settings: RetrieveSettings) -> dict[str, str] | State:
    """Index pages with merged vectors, and measure how well questions find them (Light-ColPali).

    Args:
        settings: They are kept in params.yaml; stages that they do not change are skipped.
    """
    return run_chain(CHAIN, settings)


if __name__ == "__main__":
    main(retrieve, RetrieveSettings, print_retrieve_summary, "tasks.reading.pages:look")
