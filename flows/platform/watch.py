"""A flow looks after itself: who suspends it, or cancels it while nobody listens, stops its stage.

Prefect's runner ends a flow that is being cancelled. It does not when the flow was suspended first:
the run is then said to be cancelled while its stage works on and holds the lock. So a flow asks
every few seconds what is said about it.
"""

import os
import threading
import time
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter
from prefect.client.schemas.objects import StateType
from prefect.states import Cancelled

import mlflow
from flows.platform.doctor import repair_mlflow_runs
from flows.platform.stage import stop_current

SECONDS_BETWEEN = 3  # twice a second would take 1.8 % of a core
SECONDS_FOR_RUNNER = 8  # it asks for the flow's end within three
STOPPED = (StateType.PAUSED, StateType.CANCELLED)
UNENDED = [StateType.RUNNING, StateType.PENDING]


def look_after(flow_run: UUID | str, mlflow_run: str) -> None:
    """Start to watch what is said about a flow run of this process, until the process ends."""
    arguments = (UUID(str(flow_run)), mlflow_run)
    threading.Thread(target=_watch, args=arguments, daemon=True).start()


def _watch(flow_run: UUID, mlflow_run: str) -> None:
    cancelling_since, told = None, False
    while True:
        time.sleep(SECONDS_BETWEEN)
        try:
            with get_client(sync_client=True) as client:
                said = client.read_flow_run(flow_run).state_type
                if said == StateType.CANCELLING:
                    cancelling_since = cancelling_since or time.monotonic()
                    if time.monotonic() < cancelling_since + SECONDS_FOR_RUNNER:
                        continue
                elif said not in STOPPED:
                    cancelling_since = None
                    continue
                stop_current()
                if said == StateType.CANCELLING:
                    client.set_flow_run_state(flow_run, Cancelled(), force=True)
                unended = TaskRunFilter.model_validate({"state": {"type": {"any_": UNENDED}}})
                ours = FlowRunFilter.model_validate({"id": {"any_": [flow_run]}})
                for task in client.read_task_runs(flow_run_filter=ours, task_run_filter=unended):
                    client.set_task_run_state(task.id, Cancelled(), force=True)
            mlflow.MlflowClient().set_terminated(mlflow_run, "KILLED")
            repair_mlflow_runs()
        except Exception as error:  # a server that is away for a while, or busy
            if not told:
                print(f"What is said about this flow is not known for now: {error}", flush=True)
            told = True
            continue
        os._exit(0)  # what happened is on record; anything else would be called a crash
