"""Offers every flow in the Prefect UI and runs what is started there: `python -m flows.serve`."""

from tasks.process import be_quiet

be_quiet()

from prefect import serve  # noqa: E402  (libraries read the switches above when imported)

from flows.align import align  # noqa: E402
from flows.reinforce import reinforce  # noqa: E402

if __name__ == "__main__":
    serve(
        align.to_deployment(
            name="laptop",
            description="Synthesis, reward model, preferences, policy, benchmarks and report.",
            tags=["local"],
        ),
        reinforce.to_deployment(
            name="laptop",
            description="Visual-RFT: GRPO, or fine-tuning, from a few labelled pictures.",
            tags=["local", "visual-rft"],
        ),
        limit=1,  # one at a time: stages of a checkout wait for each other
    )
