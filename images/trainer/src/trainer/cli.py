"""``trainer``: the steps of the training pipeline, one command each.

Only a chosen step imports pandas and scikit-learn, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bulkhead.cli import entry_point
from bulkhead.errors import EXIT_REFUSED
from bulkhead.step import options
from modeling.check_command import check_project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkhead.identity import Environment
    from bulkhead.step.runner import Outcome, Step


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
@click.option("--target", default="", help="The column to predict. Default: what the model's file says.")
@click.option(
    "--features",
    default="",
    help="The columns to predict from: a,b,c (a name with a comma in double quotes). Default: all that it takes.",
)
@options.name_option
@options.environment_option
def preprocessing(source: str, target: str, features: str, name: str, environment: Environment) -> int:
    """Check the source table and transform it for train_model."""
    from bulkhead.step import runner
    from trainer.preprocessing import preprocess

    def work(step: Step) -> Outcome:
        return preprocess(step, source, target, features)

    return runner.run("preprocessing", "training", environment, work, model_name=name)


@trainer.command("train_model", cls=options.WithParameters)
@click.option(
    "--serve",
    type=bool,
    default=True,
    show_default=True,
    help="Whether the environment serves the model from then on; false: it is published only.",
)
@options.switch("--allow-unmeasured", "Publish although nothing was measured, whatever the gate's settings.")
@options.switch(
    "--allow-signature-change",
    "Publish although the served model takes other columns or predicts another target, whatever the gate's settings.",
)
@options.name_option
@options.environment_option
def train_model(name: str, environment: Environment, **given: Any) -> int:
    """Fit the model on what preprocessing left, measure it, publish it.

    Besides the options below it takes the model's own parameters, from project/parameters.py.
    """
    from bulkhead.step import runner
    from trainer.training import Allowed, train_and_propose

    allowed = Allowed(**{field: given.pop(field) for field in Allowed.__struct_fields__})
    words = {parameter: text for parameter, text in given.items() if text is not None}
    return runner.run(
        "train_model", "training", environment, lambda s: train_and_propose(s, words, allowed), model_name=name
    )


@trainer.command("check_input")
@options.source_option
@click.option("--json", "as_json", is_flag=True, help="Print it for programs; a refusal, too.")
def check_input(source: str, *, as_json: bool) -> int:
    """Read a table of /inputs as training would, and say what is in it; nothing is written or recorded."""
    import msgspec

    from bulkhead import paths
    from trainer import input_check

    inputs = Path(paths.INPUTS)
    if not as_json:
        click.echo(input_check.in_words(source, input_check.found_in(source, inputs)))
        return 0
    answer = input_check.answer(source, inputs)
    click.echo(msgspec.json.encode(answer))
    return 0 if answer.refused is None else EXIT_REFUSED


@trainer.command("example_data")
def example_data() -> None:
    """Print scikit-learn's diabetes table (442 patients, 10 features) as CSV."""
    from trainer.examples import diabetes_csv

    click.echo(diabetes_csv(), nl=False)


trainer.add_command(check_project)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``trainer``; returns the exit code."""
    return entry_point.run(trainer, argv)


def program() -> NoReturn:
    """The image's entrypoint."""
    entry_point.end(main())


if __name__ == "__main__":
    sys.exit(main())
