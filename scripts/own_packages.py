"""What the pyproject.toml files of our packages say, for scripts and Dockerfile: own_packages.py QUESTION [IMAGE].

    images             the images: every folder of images/ with a pyproject.toml
    resolutions        the images in the order to lock them, each with the one whose versions it takes, if it takes any
    needs IMAGE        the folders of our packages that an image is made of, each after those it needs itself
    development        the folders of all that go into .venv: every package and image but what needs Airflow
    steps              the images of steps
    commands IMAGE     the steps of an image, as its code has them
    kind IMAGE         what it starts from, a stage of images/Dockerfile: step, or ``kind`` in its [tool.bulkhead]
    description IMAGE  the image in one line
    version IMAGE      its version

One answer a line. Needs nothing but the standard library.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent


def images() -> list[str]:
    """The names of the images, sorted."""
    return sorted(file.parent.name for file in ROOT.glob("images/*/pyproject.toml"))


def step_images() -> list[str]:
    """The images of steps, sorted."""
    return [image for image in images() if kind(image) == "step" and not _needs_airflow(image)]


def kind(image: str) -> str:
    """What ``image`` starts from, where it has no stage of its own."""
    return str(_tool(f"images/{image}", "bulkhead").get("kind", "step"))


def commands(image: str) -> list[str]:
    """The steps of ``image``: the click commands in its code, in their order, which is read and not run.

    None are known where a file of it is no Python just now: the image itself, which was built before, says what it has.
    """
    try:
        trees = [ast.parse(file.read_text()) for file in sorted(ROOT.glob(f"images/{image}/src/**/*.py"))]
    except SyntaxError:
        return []
    return list(dict.fromkeys(name for tree in trees for node in ast.walk(tree) for name in _commands_of(node)))


def _commands_of(node: ast.AST) -> Iterator[str]:
    """The command that ``node`` makes (``@group.command("name")``) or adds (``group.add_command(name)``)."""
    if isinstance(node, ast.FunctionDef):
        for made in (one for one in node.decorator_list if _is_call_of(one, "command")):
            named = made.args[0] if isinstance(made, ast.Call) and made.args else None
            yield str(named.value) if isinstance(named, ast.Constant) else node.name.replace("_", "-")
    elif _is_call_of(node, "add_command") and isinstance(node, ast.Call) and isinstance(node.args[0], ast.Name):
        yield node.args[0].id


def _is_call_of(node: ast.AST, attribute: str) -> bool:
    function = node.func if isinstance(node, ast.Call) else None
    # Of a name of the module: a program's group, and not click's own functions.
    return isinstance(function, ast.Attribute) and function.attr == attribute and ast.unparse(function.value) != "click"


def resolutions() -> list[tuple[str, str]]:
    """Each image and the one whose versions it takes, or "": ``versions-of`` in ``[tool.bulkhead]``. The latter first.

    Raises:
        ValueError: ``versions-of`` names no image, or goes round in a circle.
    """
    found: dict[str, str] = {}

    def add(image: str, asking: tuple[str, ...] = ()) -> None:
        if image in asking or image not in images():
            file = f"images/{asking[-1]}/pyproject.toml"
            raise ValueError(f"{file}: versions-of is {image!r}. Name another image of {', '.join(images())}.")
        reference = _tool(f"images/{image}", "bulkhead").get("versions-of", "")
        if reference:
            add(reference, (*asking, image))
        found.setdefault(image, reference)

    for image in images():
        add(image)
    return list(found.items())


def needs(image: str) -> list[str]:
    """The folders of our packages that ``image`` is made of, itself last.

    What a package needs is in its ``[tool.uv.sources]``, and so on from there.
    """
    found: list[str] = []

    def add(folder: Path) -> None:
        name = folder.relative_to(ROOT).as_posix()
        for source in _tool(name, "uv").get("sources", {}).values():
            add((folder / source["path"]).resolve())
        if name not in found:
            found.append(name)

    add(ROOT / "images" / image)
    return found


def development() -> list[str]:
    """The folders of every package, and of every image but those that need Airflow."""
    packages = sorted(file.parent.relative_to(ROOT).as_posix() for file in ROOT.glob("packages/*/pyproject.toml"))
    return [*packages, *(f"images/{image}" for image in images() if not _needs_airflow(image))]


def _needs_airflow(image: str) -> bool:
    return any(word.startswith("apache-airflow") for word in _read(f"images/{image}")["project"]["dependencies"])


def _tool(folder: str, name: str) -> dict[str, Any]:
    section: dict[str, Any] = _read(folder).get("tool", {}).get(name, {})
    return section


def _read(folder: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / folder / "pyproject.toml").read_text())


def main(argv: list[str]) -> int:
    """Answer one question; returns the exit code."""
    match argv:
        case ["images"]:
            lines = images()
        case ["steps"]:
            lines = step_images()
        case ["commands", image]:
            lines = commands(image)
        case ["resolutions"]:
            try:
                lines = [" ".join(pair) for pair in resolutions()]
            except ValueError as error:
                sys.stderr.write(f"bulkhead: {error}\n")
                return 1
        case ["needs", image]:
            lines = needs(image)
        case ["development"]:
            lines = development()
        case ["kind", image]:
            lines = [kind(image)]
        case ["description" | "version" as field, image]:
            lines = [_read(f"images/{image}")["project"][field]]
        case _:
            sys.stderr.write(__doc__ or "")
            return 2
    print(*lines, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
