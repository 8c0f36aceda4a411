"""The models of ``project/``, and the parameters of each. Imports no ML library, and no model unless it is asked for.

A model is a file ``project/<name>.py``. Files that begin with ``_`` are what models share, and folders are no models.
"""

from __future__ import annotations

import traceback
from importlib import import_module, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bulkhead import model_name
from bulkhead.errors import BulkheadError, Refused, one_line
from bulkhead.model_name import DEFAULT_NAME
from bulkhead.parameters import fields_of

if TYPE_CHECKING:
    from bulkhead.parameters import Field, TrainingParameters

PACKAGE = "project"
_PARAMETERS = "parameters"


class ProjectError(Refused):
    """The user's own code failed; the sentence says in which file and line, and how."""


def folder() -> Path:
    """Where ``project/`` is.

    Raises:
        Refused: nowhere on Python's path.
    """
    spec = util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise Refused("there is no folder project/ on Python's path. The step images and Airflow have it.")
    return Path(next(iter(spec.submodule_search_locations)))


def names() -> list[str]:
    """The names of the project's models: the one that comes with it first.

    Raises:
        Refused: there is no project, or a file of it has a name that no model can have.
    """
    found = []
    for path in folder().glob("*.py"):
        name = path.stem
        if name.startswith("_") or name == _PARAMETERS or name.endswith(f"_{_PARAMETERS}"):
            continue
        if not model_name.is_valid(name):
            raise Refused(
                f"project/{path.name}: {name!r} is no name of a model. Use {model_name.WORDS}; what is no model begins"
                " with '_'."
            )
        found.append(name)
    return sorted(found, key=lambda name: (name != DEFAULT_NAME, name))


def check_known(name: str) -> None:
    """Refuse a name that no model of the project has.

    Raises:
        Refused: there is no such model.
    """
    if name not in names():
        raise Refused(
            f"there is no project/{name}.py here. Name one of: {', '.join(names())}; or, if the file is there by now,"
            " run just build-images."
        )


def parameters_of(name: str) -> type[TrainingParameters]:
    """The parameters of the model ``name``: its own, or those of all models.

    Raises:
        ProjectError: its file fails.
        Refused: it has none, or they are none that a form can hold.
    """
    own = f"{name}_{_PARAMETERS}"
    module = own if (folder() / f"{own}.py").is_file() else _PARAMETERS
    parameters: Any = getattr(imported(module), "Parameters", None)
    if parameters is None:
        raise Refused(f"project/{module}.py has no class Parameters. Add one that extends TrainingParameters.")
    try:
        fields_of(parameters)
    except Refused as error:
        raise Refused(f"project/{module}.py: {error}") from None
    return parameters  # type: ignore[no-any-return]  # fields_of has looked


def form_of(name: str) -> list[Field]:
    """The fields of the trigger form of the model ``name``.

    Raises:
        Refused: as :func:`parameters_of`.
    """
    return fields_of(parameters_of(name))


def imported(module: str) -> Any:
    """The project's module ``module``.

    Raises:
        ProjectError: it fails; the sentence says where.
    """
    try:
        return import_module(f"{PACKAGE}.{module}")
    except (Exception, SystemExit) as error:
        raise failed(error, f"project/{module}.py cannot be imported") from error


def failed(error: BaseException, what: str, where: str = "") -> BulkheadError:
    """What to raise where the user's code raised ``error``: the innermost place in ``project/`` that it passed.

    Args:
        error: what the user's code raised. Where memory ran out it is no fault of the code, and comes back as it is.
        what: what was being done, as the beginning of a sentence.
        where: the file, where the error itself shows none: a hook that takes other arguments fails outside of it.
    """
    if isinstance(error, BulkheadError):
        return error
    here = str(folder())
    place = f", {where}" if where else ""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(here):
            place = f", project/{Path(frame.filename).relative_to(here)}, line {frame.lineno}"
    if isinstance(error, SyntaxError) and error.filename and error.filename.startswith(here):
        place = f", project/{Path(error.filename).relative_to(here)}, line {error.lineno}"
    hint = "Fix it there, then run just build-images."
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith(PACKAGE):
        hint = f"Add {error.name} to project/requirements.in, run just lock, then just build-images."
    told = one_line(f"{type(error).__name__}: {error}", 500)
    return ProjectError(f"{what}{place}: {told}. {hint}")
