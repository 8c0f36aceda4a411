"""RegistryCheck: asks the registrar whether the registry's logs are those that it saw last, and fails where not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.exceptions import AirflowException
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from bulkhead_airflow import defaults, notifiers, task_log
from engine.registrar_client import RegistrarAwayError, RegistrarClient, RegistrarRefusedError

if TYPE_CHECKING:
    from airflow.sdk import Context

_SECONDS = 30.0


class RegistryCheck(BaseOperator):
    """Looks whether the logs' chain goes on where the registrar saw it end: it does that itself, every few seconds.

    Its failure is the event ``chain``. It runs on the first host, whose network reaches whoever is told.

    Raises:
        Refused: a setting is none.
    """

    failure_event = "chain"

    def __init__(self, **kwargs: Any) -> None:
        told = notifiers.arguments(kwargs)
        super().__init__(**{**defaults.here(), **defaults.retry_arguments(), **kwargs, **told})

    def execute(self, context: Context) -> None:  # noqa: ARG002  # Airflow's signature
        """Ask.

        Raises:
            AirflowFailException: the logs are others.
            AirflowException: the registrar does not answer.
        """
        try:
            health = RegistrarClient.from_environment(seconds=_SECONDS).health()
        except (RegistrarAwayError, RegistrarRefusedError) as error:
            sentence = f"the registrar cannot be asked: {error}. Read 'just logs registrar'."
            self.log.error("%s", sentence)  # noqa: TRY400  # its stack says nothing
            raise task_log.told(AirflowException(sentence)) from None
        if health.broken is not None:
            self.log.error("%s", health.broken)
            raise task_log.told(AirflowFailException(health.broken))
        self.log.info("the registry's logs go on where the registrar saw them end")
