"""The group that ``registry``'s commands belong to: its help, and what they all share."""

from __future__ import annotations

import logging
import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from bulkhead import model_name
from bulkhead.cli import output
from bulkhead.errors import Refused
from bulkhead.maintenance import seen_heads
from bulkhead.registry import journal
from bulkhead.registry.chain import KeyRing
from bulkhead.registry.store import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Command = TypeVar("Command", bound="Callable[..., Any]")

HELP = """Look into the model registry, decide what it serves, and keep it in order.

MODEL is a model's short name, 'churn #12', the first 6 or more characters of its hash, or its file; 'list' shows them.

\b
Examples:
  just registry list --environment prd
  just registry show 'churn #12'
  just registry promote MODEL --reason 'better on last month'
  just registry trace shared/runs/DAG/RUN/predictions_TIME.parquet

Exit codes: 0 done, 1 refused, nothing found, or not as recorded (the reason is printed), 2 wrong usage, 70 a bug.
"""


def examples(*commands: str) -> str:
    """The end of a command's help."""
    return "\n".join(["\b", "Examples:", *(f"  just registry {command}" for command in commands)])


def _who(_context: click.Context, _parameter: click.Parameter, by: str | None) -> str:
    if by is not None:
        return by
    try:
        return pwd.getpwuid(os.getuid()).pw_name  # not $USER, which an image may set for everybody
    except KeyError:
        raise click.UsageError(
            f"the user id {os.getuid()} has no name here. Say who decides: --by NAME, or BULKHEAD_BY."
        ) from None


by_option = click.option(
    "--by",
    envvar="BULKHEAD_BY",
    callback=_who,
    help="Who decides; the record keeps it.  [default: $BULKHEAD_BY, else your login name]",
)


def _name(_context: click.Context, _parameter: click.Parameter, name: str | None) -> str | None:
    try:
        return name if name is None else model_name.checked(name)
    except Refused as error:
        raise click.BadParameter(str(error)) from None


def name_option(explained: str, default: str | None = None) -> Callable[[Command], Command]:
    """The option that says of which model."""
    return click.option("--name", default=default, show_default=default is not None, callback=_name, help=explained)


def _wide(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:  # noqa: FBT001  # click's form
    context.meta[output.WIDE] = wanted


wide_option = click.option(
    "--wide",
    is_flag=True,
    expose_value=False,
    callback=_wide,
    help="Whole tables, however narrow the terminal is.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object a line.")


class Place(msgspec.Struct, frozen=True):
    """The folders of one project."""

    models: Path
    shared: Path
    """The project's ``shared/``: run folders are below ``runs/`` in it."""

    @property
    def registry(self) -> Registry:
        """The registry.

        Raises:
            click.UsageError: there is no such folder. (Not sooner: ``registry list --help`` needs none.)
        """
        if not self.models.is_dir():
            raise click.UsageError(f"no registry at {self.models}: there is no such folder. Name it with --models.")
        return Registry(self.models, KeyRing.from_environment())

    @property
    def registry_to_write(self) -> Registry:
        """The registry, to be written to.

        Raises:
            click.UsageError: there is no such folder.
            Refused: a log is not the one that was seen last.
        """
        registry = self.registry
        seen_heads.refuse_others(registry)
        return registry

    def path(self, in_project: str) -> tuple[Path, str] | None:
        """Where a record's path is here, and the path below that; None: neither in ``models/`` nor in ``shared/``."""
        top, _, rest = in_project.partition("/")
        folder = {"models": self.models, "shared": self.shared}.get(top)
        return (folder, rest) if folder is not None and rest and ".." not in Path(rest).parts else None

    def in_project(self, text: str) -> str:
        """A path of this machine as records name it; anything else as it is."""
        path = Path(text)
        if path.is_absolute() or _exists(path):
            here = _absolute(path)
            # In a container the paths of the host begin with this, and are not there.
            project = os.environ.get("BULKHEAD_HOST_DIR")
            for folder, name in ((self.shared, "shared"), (self.models, "models"), (project and Path(project), "")):
                if folder and here.is_relative_to(_absolute(folder)):
                    return str(name / here.relative_to(_absolute(folder)))
        return os.path.normpath(text) if "/" in text else text


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that no file can have
        return False


def _absolute(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))


class Sections(click.Group):
    """A group whose help lists its commands by what they are for."""

    def __init__(self, sections: Mapping[str, Sequence[click.Command]]) -> None:
        commands = [command for section in sections.values() for command in section]
        super().__init__(name="registry", commands=commands, no_args_is_help=True, help=HELP)
        self._sections = sections

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections, each command with its first sentence."""
        limit = formatter.width - 6 - max(map(len, self.list_commands(ctx)))
        for name, commands in filter(lambda section: section[1], self._sections.items()):
            with formatter.section(name):
                formatter.write_dl([(str(command.name), command.get_short_help_str(limit)) for command in commands])


def common_options(group: click.Group) -> click.Group:
    """``group`` with the folders as options, and a :class:`Place` for its commands."""

    def place(models: Path, shared: Path) -> None:
        context = click.get_current_context()
        context.obj = Place(models, shared)
        # One line says how many unreadable lines there are, where a command has read the whole journal.
        logger = logging.getLogger(journal.__name__)
        logger.setLevel(logging.CRITICAL)
        context.call_on_close(lambda: logger.setLevel(logging.NOTSET))
        if os.environ.get("NO_COLOR"):  # https://no-color.org
            context.color = False

    group.params += [
        click.Option(
            ["--models"],
            type=click.Path(path_type=Path),
            default="/models",
            show_default=True,
            help="The registry's folder.",
        ),
        click.Option(
            ["--shared"],
            type=click.Path(path_type=Path),
            default="/shared",
            show_default=True,
            help="The project's folder shared/, for predictions and run folders.",
        ),
    ]
    group.callback = place
    return group
