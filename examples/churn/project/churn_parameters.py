"""What a training of churn takes, besides the share of held-out rows and the seed."""

from typing import Annotated

from msgspec import Meta

from bulkhead.parameters import TrainingParameters


class Parameters(TrainingParameters):
    """The form of the DAG, the flags of the step, and what the record keeps."""

    learning_rate: Annotated[float, Meta(gt=0, le=1, title="Learning rate")] = 0.1
    leaves: Annotated[int, Meta(ge=2, le=255, title="Leaves", description="The most leaves of one tree.")] = 31
