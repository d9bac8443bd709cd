"""A team's flows: offered once, and worked on in every checkout.

`python -m flows.platform.team offer`, `python -m flows.platform.team work`.

The flows are offered on a work pool of Prefect's, and a worker of each checkout takes runs from it,
one at a time. A run works in the checkout of the worker that took it. How to set up the servers is
in `deploy/README.md`; on a laptop `make up` does it all.
"""

from tasks.running.process import be_quiet

be_quiet()

import argparse  # noqa: E402  (libraries read the switches above when they are imported)
import contextlib  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402

from prefect.client.orchestration import get_client  # noqa: E402
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate  # noqa: E402
from prefect.exceptions import ObjectAlreadyExists  # noqa: E402

from flows.platform.serve import OFFERED, form_values  # noqa: E402
from flows.platform.stage import ROOT  # noqa: E402

POOL = "collimate"
CHECKOUT = "COLLIMATE_CHECKOUT"  # where a worker's runs work
STEPS = [
    {"prefect.deployments.steps.set_working_directory": {"directory": f"{{{{ ${CHECKOUT} }}}}"}}
]


def offer() -> None:
    """Create the work pool, and offer every flow on it with the settings of this checkout."""
    with get_client(sync_client=True) as client:
        with contextlib.suppress(ObjectAlreadyExists):  # it keeps what was changed in it
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        for flow, _, form, text, tags in OFFERED:
            deployment = flow.to_deployment(
                name="team", description=text, tags=[*tags, "team"], parameters=form_values(form)
            )
            made = deployment.apply(work_pool_name=POOL)
            client.update_deployment(made, DeploymentUpdate(pull_steps=STEPS))
            print(f"{flow.name}/team is offered on the work pool {POOL}")


def work() -> None:
    """Take runs for this checkout until stopped."""
    os.environ |= {CHECKOUT: str(ROOT), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    worker = ["prefect", "worker", "start", "--pool", POOL, "--type", "process", "--limit", "1"]
    os.execv(sys.executable, [sys.executable, "-m", *worker])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["offer", "work"])
    {"offer": offer, "work": work}[parser.parse_args().what]()
