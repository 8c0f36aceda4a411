"""What Airflow needs of Bulkhead: the operator that runs a step, the approval of a promotion, nothing that learns."""

from bulkhead.environments import LAST, PROMOTED_TO
from bulkhead.environments import NAMES as ENVIRONMENTS
from bulkhead.identity import Environment
from bulkhead_airflow.approval import PromotionApproval
from bulkhead_airflow.assets import environment_of, models_of, name_of
from bulkhead_airflow.forms import training_flags
from bulkhead_airflow.operator import StepOperator
from bulkhead_airflow.params import MODEL, REASON, source_param, training_params
from bulkhead_airflow.plan import Plan, check_timetable, plans, promotable_names
from bulkhead_airflow.registry_check import RegistryCheck

__all__ = [
    "ENVIRONMENTS",
    "LAST",
    "MODEL",
    "PROMOTED_TO",
    "REASON",
    "Environment",
    "Plan",
    "PromotionApproval",
    "RegistryCheck",
    "StepOperator",
    "check_timetable",
    "environment_of",
    "models_of",
    "name_of",
    "plans",
    "promotable_names",
    "source_param",
    "training_flags",
    "training_params",
]
