"""What the stages that draw pages have in common."""

from tasks.job import Job
from tasks.reporting.made import Made, what_was_run
from tasks.running import tracking
from tasks.settings import Settings, Shared


def made(form: type[Shared], settings: Settings, job: Job, **about: str | int | list[str]) -> Made:
    """Return what a page of a flow begins with.

    Args:
        form: The settings of the flow.
        about: The facts that a reader asks for first.
    """
    in_force, untouched = (
        tracking.flat(values.model_dump(mode="json", exclude={"machine"}))
        for values in (settings.part(form), Settings().part(form))
    )
    about |= {"seed": settings.seed}
    return what_was_run(about, in_force, untouched, tracking.provenance(job.root, job.run_id))
