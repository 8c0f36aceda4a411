"""Links from a task in Airflow to what it made: its model, its predictions, its failure, on Bulkhead's pages.

Airflow asks for them in the task's own process, at its end, and keeps the answers (as XComs named ``_link_...``), each
mapped task's own. An empty one is not shown. They begin with the path that Airflow is served under, and not with a
host: whoever follows one is there already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

from models_page import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


def root() -> str:
    """The path of Bulkhead's pages, below Airflow's own."""
    return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/") + PREFIX


class ModelLink(BaseOperatorLink):
    """To the model that the task has published, predicted with, or decided about."""

    @property
    def name(self) -> str:
        """The link's text."""
        return "Model"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002  # Airflow's signature
        """The address; empty: there is none."""
        facts = _facts(operator)
        model = facts.get("model_filename") or facts.get("model_used")
        return f"{root()}/models/{quote(model, safe='')}" if isinstance(model, str) else ""


class PredictionsLink(BaseOperatorLink):
    """To the inference that the task has made."""

    @property
    def name(self) -> str:
        """The link's text."""
        return "Predictions"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address; empty: there is none."""
        if not _facts(operator).get("predictions_path"):
            return ""
        return f"{root()}/inferences?{urlencode({'run_id': ti_key.run_id})}"


class FailureLink(BaseOperatorLink):
    """To the record of the task's failure."""

    @property
    def name(self) -> str:
        """The link's text."""
        return "Failure"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address; empty: there is none."""
        if getattr(operator, "failed", None) is None:
            return ""
        return f"{root()}/failures?{urlencode({'run_id': ti_key.run_id})}"


LINKS = (ModelLink(), PredictionsLink(), FailureLink())


def _facts(operator: Any) -> Mapping[str, Any]:
    return getattr(operator, "facts", None) or {}
