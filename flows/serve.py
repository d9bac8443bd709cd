"""Offers every flow in the Prefect UI and runs what is started there: `python -m flows.serve`."""

from tasks.process import be_quiet

be_quiet()

from flows.align import align  # noqa: E402  (libraries read the switches above when imported)

if __name__ == "__main__":
    align.serve(
        name="laptop",
        description="Synthesis, reward model, preferences, policy, benchmarks and report.",
        tags=["local"],
        limit=1,
    )
