"""What each stage of `dvc.yaml` is given: settings become plain values here, and go no further.

`tasks/stages/<flow>/<stage>.py` has one function, named like the stage: it returns the stage's
metrics and fills `job.out`.
"""
