"""PromotionApproval: a person's word before a promotion.

The answer counts as Airflow's own record has it (``hitl_detail``): the registrar reads it there. And what the person
reads is the registry's word. Neither comes by way of an XCom, which a user could write. A request that is rejected, or
that nobody answers in time, leaves a record too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowFailException

from bulkhead import environments
from bulkhead.errors import Refused
from bulkhead.queries import promotion, references
from bulkhead.registry import decisions
from bulkhead.registry.approval import asked
from bulkhead.registry.store import Registry
from bulkhead_airflow import approval_text, defaults, links, notifiers, task_log
from bulkhead_airflow.task_identity import identity_of, try_id_of
from engine import patience
from engine.registrar_client import RegistrarClient

if TYPE_CHECKING:
    from airflow.sdk import Context


class PromotionApproval(ApprovalOperator):
    """Asks whether the run's model may be promoted, with what that would change.

    ``BULKHEAD_APPROVERS`` names who may answer; empty: everybody who may edit tasks. After ``BULKHEAD_APPROVAL_DAYS``
    without an answer the task fails; empty: it waits for ever.

    Raises:
        Refused: a setting is none.
    """

    template_fields = ()
    candidate_name = ""
    """Of which model the one to be promoted is a version, once that is known."""

    def __init__(self, **kwargs: Any) -> None:
        told = notifiers.of_approval()
        if told:
            kwargs = defaults.here() | kwargs
        super().__init__(
            subject="",
            body="",
            assigned_users=defaults.approvers() or None,
            response_timeout=defaults.approval_time(),
            notifiers=told,
            **kwargs,
        )

    def execute(self, context: Context) -> Any:
        """Ask. What others say is not put into a template: it comes into the text escaped, once it is known.

        Raises:
            AirflowFailException: there is no such model to promote.
        """
        params, run = context["params"], context["dag_run"]
        environment = params["environment"]
        registry = Registry(defaults.models_folder())
        try:
            filename = references.filename_of(registry, params["model"])
            candidate = registry.find(filename, environments.origin_of(environment))
        except Refused as error:
            self.log.error("%s", error)  # noqa: TRY400  # its stack says nothing
            raise task_log.told(AirflowFailException(str(error))) from None
        self.candidate_name = candidate.name
        served = registry.served(environment, candidate.name)
        self.subject = asked(candidate, environment, served)
        self.body = approval_text.of_promotion(
            promotion.outlook(registry.folder, candidate, served, environment),
            candidate,
            served,
            environment,
            # The name that the registrar compares with the approver's.
            (getattr(run, "triggering_user_name", None) or run.run_type, params["reason"]),
            four_eyes=defaults.four_eyes(),
            warning=decisions.revoked_twin(registry, candidate),
            drift=promotion.drift_in_words(registry, candidate.model_filename),
            page=links.root(),
        )
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on with the answer; what was not approved is recorded before the promotion is skipped.

        Raises:
            HITLTimeoutError: nobody answered in time.
        """
        if event.get("error_type") == "timeout" or event.get("chosen_options") == [self.REJECT]:
            self._record(context)
        return super().execute_complete(context, event)

    def _record(self, context: Context) -> None:
        client = RegistrarClient.from_environment()
        identity, try_id = identity_of(context), try_id_of(context)
        # Nothing else is held up by waiting, and a request that failed here would have to be asked anew.
        sentence = patience.wait_for_registrar(lambda: client.unapproved(identity, try_id), self.log, math.inf)
        self.log.info("recorded: %s", sentence)
