"""When a pipeline runs by itself, and on what: ``project/schedule.toml``, as Airflow takes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import CronTriggerTimetable
from croniter import croniter
from croniter.croniter import CroniterError

from bulkhead import environments, project_models, schedule
from bulkhead.errors import Refused
from bulkhead.model_name import DEFAULT_NAME, named
from bulkhead_airflow import defaults, forms, notify_settings
from bulkhead_airflow.assets import models_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.sdk import Asset

    from bulkhead.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One pipeline of one model in one environment."""

    environment: str
    name: str
    pipeline: str
    schedule: CronTriggerTimetable | list[Asset] | None = None
    """A clock, the asset whose updates start it, or None: whoever triggers it."""
    pattern: str | None = None
    """Of the source table of runs that name none."""

    @property
    def dag_id(self) -> str:
        """The id of its DAG."""
        return environments.dag_id(self.environment, self.pipeline, self.name)

    @property
    def model(self) -> str:
        """The model, in a DAG's description."""
        return named("a model", self.name)

    @property
    def is_scheduled(self) -> bool:
        """Whether it runs by itself, too."""
        return self.schedule is not None

    @property
    def macros(self) -> dict[str, Callable[..., Any]]:
        """What templates of its steps may call."""
        return {"source_of": self.source_of, "word": forms.word, "is_served": forms.is_served}

    def source_of(self, given: str | None, run: Any) -> str:
        """The run's table: what its form says, else what the schedule says for its date; empty: nobody says."""
        if given or self.pattern is None:
            return given or ""
        return schedule.source_at(self.pattern, run.logical_date or run.run_after)


def plans(pipeline: str) -> Iterator[Plan]:
    """``pipeline``, once for each environment and each model of the project.

    Raises:
        Refused: the project, or its schedule, is not what it should be.
    """
    schedules = schedule.read()
    made: dict[str, str] = {}
    for environment in environments.NAMES:
        for name in project_models.names():
            found = schedules.get((environment, name, pipeline))
            plan = Plan(environment=environment, name=name, pipeline=pipeline)
            if found is not None:
                plan = replace(plan, schedule=_starts(found, f"{environment}.{name}.{pipeline}"), pattern=found.source)
            elif pipeline == "inference_pipe" and name == DEFAULT_NAME and defaults.follows(environment):
                plan = replace(plan, schedule=[models_of(environment)])
            if plan.dag_id in made:
                raise Refused(
                    f"{made[plan.dag_id]} and {environment}.{name} both make the DAG {plan.dag_id}."
                    f" Rename project/{name}.py, or the environment."
                )
            made[plan.dag_id] = f"{environment}.{name}"
            yield plan


def check_timetable() -> CronTriggerTimetable | None:
    """When the registry is looked at by itself; None: whenever it is triggered.

    Raises:
        Refused: a setting is none.
    """
    cron = notify_settings.check_schedule()
    return None if cron is None else CronTriggerTimetable(cron, timezone="UTC", run_immediately=False)


def promotable_names() -> list[str]:
    """The models of the project; and the one that comes with it, whose versions may be there although its file is not.

    Raises:
        Refused: the project is not what it should be.
    """
    return sorted({*project_models.names(), DEFAULT_NAME}, key=lambda name: (name != DEFAULT_NAME, name))


def _starts(found: Schedule, where: str) -> CronTriggerTimetable | list[Asset]:
    if found.cron is not None:
        try:
            croniter(found.cron, datetime.now(UTC)).get_next()  # the 31st of February is no time either
        except (CroniterError, ValueError) as error:
            raise Refused(
                f"project/schedule.toml, table {where}: cron is {found.cron!r}: {error}."
                " Write it as 'MINUTE HOUR DAY MONTH WEEKDAY'."
            ) from None
        # Not at once, on the hour that has passed: who writes a schedule asks for nothing now.
        return CronTriggerTimetable(found.cron, timezone="UTC", run_immediately=False)
    assets = {
        schedule.asset_name(environment, name): models_of(environment, name)
        for environment in environments.NAMES
        for name in project_models.names()
    }
    return [assets[found.asset or ""]]
