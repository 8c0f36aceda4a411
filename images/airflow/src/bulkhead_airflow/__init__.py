"""What Airflow needs of Bulkhead: the operator that runs a step, and nothing that learns."""

from bulkhead.identity import ENVIRONMENTS, Environment
from bulkhead_airflow.operator import StepOperator

__all__ = ["ENVIRONMENTS", "Environment", "StepOperator"]
