"""``check_project``, a command of both step images: what is trained in one must be served by the other."""

from __future__ import annotations

from pathlib import Path

import click

from bulkhead import paths


@click.command("check_project")
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="Another copy of the folder: where it is not the same, a build is due.",
)
def check_project(against: Path | None) -> None:
    """Look whether this image can use the project: each model's file, and every package that the project asks for."""
    from modeling import project_check

    said = project_check.check()
    if against is not None and (others := project_check.differences(against)):
        raise click.ClickException(
            f"the image was built from another project/, with another {', '.join(others)}. Run just build-images."
        )
    models = Path(paths.MODELS)
    if models.is_dir():
        project_check.check_gate(models)
    click.echo(said)
