"""What a recipe answers to a wrong argument: at once, with the right word, before anything is asked or started."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import own_packages
import pytest
import recipe

import registry
from bulkhead.cli.main import SECTIONS

if TYPE_CHECKING:
    from tests.support.clone import Clone

WRONG = {
    "step trainr": "there is no image of steps 'trainr'. Did you mean trainer?",
    "step trainer preprocesing": "there is no step of trainer 'preprocesing'. Did you mean preprocessing?",
    "step trainer": "say which step of trainer: preprocessing, train_model",
    "step inference train_model": "train_model is a step of trainer, not of inference.",
    "step": "the following arguments are required: IMAGE",
    "step --hlep": "just step has no option --hlep. Did you mean --help?",
    "step trainer preprocessing -e prod": "there is no environment 'prod'. Did you mean prd?",
    "step trainer preprocessing --env=devv": "there is no environment 'devv'. Did you mean dev?",
    "demo --hlep": "just demo has no option --hlep. Did you mean --help?",
    "demo one two": "just demo takes no 'two'.",
    "registry lst": "there is no command 'lst'. Did you mean list",
    "build-images trainr": "there is no image 'trainr'. Did you mean trainer?",
    "build-images --verbos": "just build-images has no option --verbos. Did you mean --verbose?",
    "up --verbos": "just up has no option --verbos. Did you mean --verbose?",
    "new-model": "the following arguments are required: name",
    "new-model churn --knd binary": "just new-model has no option --knd. Did you mean --kind?",
    "new-model churn --kind binay": "there is no kind 'binay'. Did you mean binary?",
    "host-add": "the following arguments are required: name",
    "host-add gpu1 --quues gpu": "just host-add has no option --quues. Did you mean --queues?",
    "host-drain gpu1 --und": "just host-drain has no option --und. Did you mean --undo?",
    "hosts --jsn": "just hosts has no option --jsn. Did you mean --json?",
    "host-logs workr": "there is no service 'workr'. Did you mean worker?",
    "logs schedulr": "there is no service 'schedulr'. Did you mean scheduler?",
    "logs nonsense": "there is no service 'nonsense'. There are: postgres,",
    "restart schedulr": "there is no service 'schedulr'. Did you mean scheduler?",
    "shell trainr": "there is no image of steps or service 'trainr'. Did you mean trainer?",
    "status --jsn": "just status has no option --jsn. Did you mean --json?",
    "host-join gpu1:abc@here:1": "that is no code of 'just host-add', which looks like NAME:SECRET@ADDRESS:PORT.",
    "clean --ys": "just clean has no option --ys. Did you mean --yes?",
    "lock --upgrde": "just lock has no option --upgrde. Did you mean --upgrade",
}
REFUSED = {
    "demo nosuch.csv": "nosuch.csv: no such file. Give a .csv or .parquet file in shared/inputs/. There are:",
    "demo shared/inputs": "shared/inputs: is not in shared/inputs/",
    "demo diabets.csv": "diabets.csv: no such file. Give a .csv or .parquet file in shared/inputs/. Did you mean"
    " shared/inputs/diabetes.csv?",
    "demo diabetes.csv --name modle": "there is no model 'modle'. Did you mean model?",
    "demo --name modle": "there is no model 'modle'. Did you mean model?",
}


@pytest.fixture
def asked(clone: Clone) -> str:
    """A PATH on which nothing of the engine answers, and whatever is asked of it is written down."""
    return clone.with_docker(f'echo "$@" >>{clone.folder}/asked\nexit 1\n')


@pytest.mark.parametrize(
    ("words", "sentence", "code"),
    [*((words, said, 2) for words, said in WRONG.items()), *((words, said, 1) for words, said in REFUSED.items())],
)
def test_a_wrong_word_is_answered_before_anything_is_asked_or_made(
    clone: Clone, asked: str, words: str, sentence: str, code: int
) -> None:
    (clone.folder / "shared/inputs").mkdir(parents=True, exist_ok=True)
    (clone.folder / "shared/inputs/diabetes.csv").touch()
    before = {path for path in clone.folder.rglob("*") if "__pycache__" not in path.parts}
    ended = clone.run("just", *words.split(), PATH=asked, BULKHEAD_NO_BOOTSTRAP="1")
    assert (ended.returncode, ended.stdout) == (code, ""), ended.stderr
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") <= 2
    assert "gpu1:abc" not in ended.stderr
    assert {path for path in clone.folder.rglob("*") if "__pycache__" not in path.parts} == before


@pytest.mark.parametrize(
    "name",
    [
        *("step", "demo", "build-images", "up", "new-model", "host-add", "hosts", "logs", "restart", "shell", "status"),
        *("clean", "lock", "host-join"),
    ],
)
def test_every_recipe_says_what_it_takes(clone: Clone, asked: str, name: str) -> None:
    ended = clone.run("just", name, "--help", PATH=asked, BULKHEAD_NO_BOOTSTRAP="1")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"usage: just {name}")
    assert not (clone.folder / "asked").exists()
    assert not (clone.folder / ".env").exists()


def test_the_answer_does_not_take_a_second(clone: Clone, asked: str) -> None:
    clone.run("just", "step", "trainr", PATH=asked)  # Python compiles its files first
    started = time.monotonic()
    clone.run("just", "step", "trainr", PATH=asked)
    # Of a machine that others load, too.
    assert time.monotonic() - started < 3


def test_the_commands_of_the_registry_are_known_where_there_is_no_container() -> None:
    said = {str(command.name) for commands in SECTIONS.values() for command in commands}
    assert said | {"accept"} == registry.VERBS


def test_the_steps_of_an_image_are_those_of_its_code() -> None:
    from inference.cli import inference
    from trainer.cli import trainer

    assert own_packages.step_images() == ["inference", "trainer"]
    for group in (inference, trainer):
        assert own_packages.commands(str(group.name)) == [
            name for name in group.commands if name in own_packages.commands(str(group.name))
        ]
        assert set(own_packages.commands(str(group.name))) == set(group.commands)


def test_the_services_are_those_of_compose(clone: Clone) -> None:
    assert clone.run("scripts/env.sh").returncode == 0
    listed = clone.run("docker", "compose", "--profile", "*", "config", "--services")
    assert listed.returncode == 0, listed.stderr
    known = set(recipe.services())
    assert set(listed.stdout.split()) <= known
    assert known - set(listed.stdout.split()) <= {"worker", "gateway"}
