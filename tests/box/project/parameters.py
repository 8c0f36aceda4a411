"""What a training takes: the trigger form, the flags of ``trainer train_model``, and what each record keeps.

Every model has these, but one with a file ``<name>_parameters.py`` of its own. Airflow reads this file, so import no ML
library here. A field needs a default; ``Meta`` gives the form its words and bounds.
"""

from bulkhead.parameters import TrainingParameters


class Parameters(TrainingParameters):
    """Besides the share of held-out rows and the seed, nothing yet.

    To add one: ``depth: Annotated[int, Meta(ge=1, le=20, title="Depth")] = 3``.
    """
