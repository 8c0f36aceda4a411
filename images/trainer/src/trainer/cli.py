"""``trainer``: the steps of the training pipeline, one command each.

Only a chosen step imports pandas and scikit-learn, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from bulkhead.cli import entry_point
from bulkhead.step import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkhead.identity import Environment


@click.group(no_args_is_help=True)
def trainer() -> None:
    """Steps of the training pipeline.

    Each works in the run folder mounted at /shared, with the registry mounted at /models:

    \b
      docker run --rm -v "$PWD/models:/models" -v "$PWD/shared/runs/debug:/shared" \\
        bulkhead/trainer preprocessing

    Exit codes: 0 done, 1 refused (the reason is printed and recorded), 2 wrong usage, else a crash.
    """  # noqa: D301  # \b is click's sign for lines to leave as they are


@trainer.command()
@options.source_option
@click.option("--target", default="target", show_default=True, help="The column to predict.")
@click.option(
    "--features",
    default="",
    help="The columns to predict from: a,b,c (a name with a comma in double quotes). Default: all but the target.",
)
@options.environment_option
def preprocessing(source: str, target: str, features: str, environment: Environment) -> int:
    """Check the source table and transform it for train_model."""
    from bulkhead.step import runner
    from trainer.preprocessing import preprocess

    return runner.run("preprocessing", "training", environment, lambda s: preprocess(s, source, target, features))


@trainer.command("train_model")
@click.option(
    "--test-fraction",
    type=float,
    default=0.2,
    show_default=True,
    help="Share of the rows held out to measure the model; with 0 all rows train and nothing is measured.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Draws the held-out rows."
)
@options.environment_option
def train_model(test_fraction: float, seed: int, environment: Environment) -> int:
    """Fit the model on what preprocessing left, measure it, publish it."""
    from bulkhead.step import runner
    from trainer.training import Parameters, train_and_propose

    parameters = Parameters(test_fraction=test_fraction, seed=seed)
    return runner.run("train_model", "training", environment, lambda s: train_and_propose(s, parameters))


@trainer.command("example_data")
def example_data() -> None:
    """Print scikit-learn's diabetes table (442 patients, 10 features) as CSV."""
    from trainer.examples import diabetes_csv

    click.echo(diabetes_csv(), nl=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``trainer``; returns the exit code."""
    return entry_point.run(trainer, argv)


if __name__ == "__main__":
    sys.exit(main())
