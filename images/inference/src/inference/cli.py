"""``inference``: the steps of the inference pipeline, one command each.

Only a chosen step imports pandas and scikit-learn, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from bulkhead import command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkhead.identity import Environment


@click.group(no_args_is_help=True)
def inference() -> None:
    """Steps of the inference pipeline.

    Each works in the run folder mounted at /shared, with the registry mounted at /models:

    \b
      docker run --rm -v "$PWD/models:/models" -v "$PWD/shared/runs/debug:/shared" \\
        bulkhead/inference generate_inf_data

    Exit codes: 0 done, 1 refused (the reason is printed and recorded), 2 wrong usage, else a crash.
    """  # noqa: D301  # \b is click's sign for lines to leave as they are


@inference.command("generate_inf_data")
@command.source_option
@command.environment_option
def generate_inf_data(source: str, environment: Environment) -> int:
    """Check the source table and bring it into the run folder."""
    from bulkhead import step
    from inference.data import generate

    return step.run("generate_inf_data", "inference", environment, lambda s: generate(s, source))


@inference.command("preprocess_inf_data")
@command.environment_option
def preprocess_inf_data(environment: Environment) -> int:
    """Apply the transformation that training applied."""
    from bulkhead import step
    from inference.data import preprocess

    return step.run("preprocess_inf_data", "inference", environment, preprocess)


@inference.command("model_inference")
@click.option(
    "--model", default="", help="A model file of the registry, by name. Default: the newest of the environment."
)
@command.environment_option
def model_inference(model: str, environment: Environment) -> int:
    """Predict with the newest model of the environment, and record the result."""
    from bulkhead import step
    from inference.prediction import predict

    return step.run("model_inference", "inference", environment, lambda s: predict(s, model or None))


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``inference``; returns the exit code."""
    return command.run(inference, argv)


if __name__ == "__main__":
    sys.exit(main())
