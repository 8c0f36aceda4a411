"""What Airflow needs of Bulkhead: the operator that runs a step, the approval of a promotion, nothing that learns."""

from bulkhead.environments import LAST, PROMOTED_TO
from bulkhead.environments import NAMES as ENVIRONMENTS
from bulkhead.identity import Environment
from bulkhead_airflow.approval import PromotionApproval
from bulkhead_airflow.defaults import follows
from bulkhead_airflow.operator import StepOperator, models_of
from bulkhead_airflow.params import REASON, SOURCE

__all__ = [
    "ENVIRONMENTS",
    "LAST",
    "PROMOTED_TO",
    "REASON",
    "SOURCE",
    "Environment",
    "PromotionApproval",
    "StepOperator",
    "follows",
    "models_of",
]
