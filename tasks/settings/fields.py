"""Settings that several sections have: the same name is the same field everywhere.

A section gives the default: `steps: Steps = 160`.
"""

from typing import Annotated, Literal

from pydantic import Field

Model = Annotated[
    str,
    "model",
    Field(
        min_length=1,
        description="Folder, Hugging Face id (org/name or org/name@revision), or registered model "
        "(models:/policy@best)",
    ),
]
Asked = Annotated[
    str,
    "model",
    "served",
    Field(
        min_length=1,
        description="Folder, Hugging Face id, registered model, or server (http://…/v1, or "
        "openai:<name>@<address>)",
    ),
]
Data = Annotated[
    str,
    "data",
    Field(
        min_length=1, description="Folder of the data set, in one of the layouts of docs/data.md"
    ),
]
Limit = Annotated[
    int, Field(ge=0, title="Most records", description="Read at most as many (0: all)")
]
Share = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        title="Largest share set aside",
        description="The stage fails when more of the records cannot be used",
    ),
]
Steps = Annotated[int, Field(ge=1, description="Optimiser steps")]
Rate = Annotated[float, Field(gt=0, le=1, description="Of AdamW, at its peak")]
Rates = Annotated[
    list[Rate],
    Field(min_length=1, description="Of AdamW; each sort of arm takes the best one on dev"),
]
Batch = Annotated[
    int, Field(ge=1, title="Batch size", description="Examples per step (of DPO: pairs)")
]
Prompts = Annotated[
    int, Field(ge=1, title="Questions per step", description="GRPO: different ones, all answered")
]
Answers = Annotated[
    int, Field(ge=2, title="Answers per question", description="GRPO: the group that is sampled")
]
Beta = Annotated[
    float,
    Field(ge=0, title="KL weight", description="Strength of the leash to the starting model"),
]
KlSchedule = Annotated[
    Literal["constant", "cosine"],
    Field(
        title="KL weight over time",
        description="As it is, or by half a cosine to nothing at the end of all steps",
    ),
]
Temperature = Annotated[float, Field(gt=0, le=2, description="Of sampling; 1 as the model says")]
MaxNewTokens = Annotated[
    int, Field(ge=1, title="Longest answer", description="Tokens at which an answer is cut off")
]
SkipSettled = Annotated[
    bool,
    Field(
        title="Skip settled questions",
        description="GRPO: ask others in place of those that were all right or all wrong twice",
    ),
]
LookEvery = Annotated[
    int, Field(ge=1, title="Steps between looks", description="At the dev questions")
]
Patience = Annotated[
    int,
    Field(ge=0, description="Stop after as many looks without gain (0: never); the best is kept"),
]
PerTask = Annotated[
    int, Field(ge=1, title="Questions per kind", description="Held out, and asked at the end")
]
Dev = Annotated[
    int, Field(ge=1, title="Dev questions", description="Held out, to choose the best step")
]
Test = Annotated[
    int, Field(ge=1, title="Test questions", description="Held out, and asked once at the end")
]
Seeds = Annotated[
    int, Field(ge=1, description="Each with examples, an order and answers of its own")
]
Processes = Annotated[
    int, Field(ge=1, le=256, description="At once on CPUs, each with a thread and a model")
]
NearMisses = Annotated[
    int, Field(ge=0, description="Pages that differ in one block, for each: the dial of difficulty")
]
