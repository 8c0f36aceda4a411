"""``inference``: the steps of the inference pipeline, and decisions about models, one command each.

Only a chosen step imports pandas and scikit-learn, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

import click

from bulkhead import environments, prediction_files
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
    "--model",
    default="",
    help="A model of the registry: churn #12, 6 or more characters of its hash, or its file. Default: the one that the"
    " environment serves.",
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


@inference.command("show_predictions")
@click.option("--path", required=True, help="The file, as its record names it; its run folder is mounted at /shared.")
@click.option("--sha256", required=True, help="Its hash, as it is recorded.")
@click.option("--limit", type=click.IntRange(1, prediction_files.MOST_ROWS), help="Only so many rows, each as JSON.")
def show_predictions(path: str, sha256: str, limit: int | None) -> int:
    """Print the predictions in a file as CSV, for the Models page; nothing is written or recorded.

    The first line is JSON, and says what follows. `just registry predictions` is for people.
    """
    from inference import predictions_reading

    return predictions_reading.show(path, sha256, limit, sys.stdout.buffer)


# No environment variable: the one that a step runs in, dev by default, is not where a model is promoted to.
_target_option = click.option(
    *environments.FLAGS,
    type=click.Choice(environments.PROMOTED_TO),
    default=environments.LAST,
    show_default=True,
    help="Where the model is promoted to.",
)
_model_option = click.option(
    "--model",
    required=True,
    help="A model of the registry: churn #12, 6 or more characters of its hash, or its file.",
)
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
    help="Only if the environment serves this model now ('none': nothing). Default: whatever it serves.",
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
@click.option(
    "--to", default="", help="An earlier model, as in --model. Default: the good one before the one now served."
)
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


@inference.command("revoke_model")
@_model_option
@click.option("--confirm", required=True, help="The model once more: a revocation is for ever.")
@_by_option
@_reason_option
@options.environment_option
def revoke_model(model: str, confirm: str, by: str, reason: str, environment: Environment) -> int:
    """Take a model out of service for ever, in every environment."""
    from bulkhead.step import runner
    from inference import decision_steps

    return runner.run(
        "revoke_model",
        "training",
        environment,
        lambda s: decision_steps.revoke_model(s, model, confirm, by or None, reason),
        model_name=decision_steps.name_of(model.strip()),
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
