"""``inference``: the steps of the inference pipeline, and decisions about models, one command each.

Only a chosen step imports pandas and scikit-learn, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

import click

from bulkhead import environments
from bulkhead.cli import entry_point
from bulkhead.step import options
from modeling.check_command import check_project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkhead.identity import Environment
    from bulkhead.step.runner import Outcome, Step


@click.group(no_args_is_help=True)
def inference() -> None:
    """Steps of the inference pipeline, and decisions about models.

    Each works in the run folder mounted at /shared, with the registry mounted at /models:

    \b
      docker run --rm -v "$PWD/models:/models" -v "$PWD/shared/runs/debug:/shared" \\
        bulkhead/inference generate_inf_data

    Exit codes: 0 done, 1 refused (the reason is printed and recorded), 2 wrong usage, else a crash.
    """  # noqa: D301  # \b is click's sign for lines to leave as they are


_version_option = click.option(
    "--model", default="", help="A model file of the registry, by name. Default: the one that the environment serves."
)


@inference.command("generate_inf_data")
@options.source_option
@_version_option
@options.name_option
@options.environment_option
def generate_inf_data(source: str, model: str, name: str, environment: Environment) -> int:
    """Check the source table, as what the model takes, and bring it into the run folder."""
    from bulkhead.step import runner
    from inference import data_steps

    def work(this: Step) -> Outcome:
        return data_steps.generate_inf_data(this, source, model or None)

    return runner.run("generate_inf_data", "inference", environment, work, model_name=name)


@inference.command("preprocess_inf_data")
@options.name_option
@options.environment_option
def preprocess_inf_data(name: str, environment: Environment) -> int:
    """Apply the transformation that training applied."""
    from bulkhead.step import runner
    from inference import data_steps

    return runner.run("preprocess_inf_data", "inference", environment, data_steps.preprocess_inf_data, model_name=name)


@inference.command("model_inference")
@_version_option
@options.switch(
    "--allow-version-drift", "Predict although the model was trained with other library versions; the record says so."
)
@options.name_option
@options.environment_option
def model_inference(model: str, name: str, environment: Environment, *, allow_version_drift: bool) -> int:
    """Predict with the model that the environment serves, and record the result."""
    from bulkhead.step import runner
    from inference.model_inference import predict_and_propose

    def work(this: Step) -> Outcome:
        return predict_and_propose(this, model or None, allow_version_drift=allow_version_drift)

    return runner.run("model_inference", "inference", environment, work, model_name=name)


# No environment variable: the one that a step runs in, dev by default, is not where a model is promoted to.
_target_option = click.option(
    "--environment",
    type=click.Choice(environments.PROMOTED_TO),
    default=environments.LAST,
    show_default=True,
    help="Where the model is promoted to.",
)
_model_option = click.option("--model", required=True, help="A model file of the registry, by name.")
_by_option = click.option(
    "--by", default="", help="Who decides; the record keeps it. From Airflow it is Airflow that says who."
)
_reason_option = click.option("--reason", required=True, help="Why; the record keeps it.")


@inference.command("check_model")
@_model_option
@_target_option
def check_model(model: str, environment: Environment) -> int:
    """Look whether a model could be promoted now; changes nothing."""
    from bulkhead.step import runner
    from inference import decision_steps

    def work(this: Step) -> Outcome:
        return decision_steps.check_model(this, model)

    return runner.run("check_model", "training", environment, work, model_name=decision_steps.name_of(model))


@inference.command("promote_model")
@_model_option
@_by_option
@_reason_option
@click.option(
    "--replacing",
    default="",
    help="Only if the environment serves this file now ('none': nothing). Default: whatever it serves.",
)
@_target_option
def promote_model(model: str, by: str, reason: str, replacing: str, environment: Environment) -> int:
    """Serve a model in the next environment, without training it again."""
    from bulkhead.step import runner
    from inference import decision_steps

    return runner.run(
        "promote_model",
        "training",
        environment,
        lambda s: decision_steps.promote_model(s, model, by or None, reason, replacing or None),
        model_name=decision_steps.name_of(model),
    )


@inference.command("rollback_model")
@_by_option
@_reason_option
@click.option("--to", default="", help="An earlier model file. Default: the good one before the one now served.")
@options.name_option
@options.environment_option
def rollback_model(by: str, reason: str, to: str, name: str, environment: Environment) -> int:  # its options
    """Serve an earlier model of the environment again."""
    from bulkhead.step import runner
    from inference import decision_steps

    return runner.run(
        "rollback_model",
        "training",
        environment,
        lambda s: decision_steps.rollback_model(s, by or None, reason, to or None),
        model_name=name,
    )


inference.add_command(check_project)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``inference``; returns the exit code."""
    return entry_point.run(inference, argv)


def program() -> NoReturn:
    """The image's entrypoint."""
    entry_point.end(main())


if __name__ == "__main__":
    sys.exit(main())
