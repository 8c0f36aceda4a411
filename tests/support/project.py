"""What the fast tests share: a project in a temporary folder, and records to put into its registry."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhead.identity import Identity
from bulkhead.registry import publishing, record_lines
from bulkhead.registry.lineage import Data, Lineage
from bulkhead.registry.records import InferenceRecord, TrainingFailure
from bulkhead.registry.store import Registry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from bulkhead.identity import Environment
    from bulkhead.registry.records import ModelRecord

# Every refusal ends in what to do next.
NEXT = re.compile(
    r"\b(Add|Choose|Convert|Export|Fill|Give|Leave|Make|Fix|Name|Put|Rename|Restore|Return|Run|Set|Take|Train|Unpack|Use|Write"
    r"|choose|free|lists|give|leave|fix|mount|remove|run|train|use)\b[^.]*(\.[^.\s][^.]*)*\.$"
)

LEGACY_TRAININGS = (
    b'{"model_hash": "3f2a", "model_filename": "model_2024-01-31:23-59-59_3f2a.pkl",'
    b' "training_timestamp": "2024-01-31:23-59-59", "environment": "prd"}\n'
    b'{"error_timestamp": "2024-02-01:00-00-01", "detail": "division by zero"}\n'
    b'{"model_hash": "77aa", "model_filename": "model_2024-02-02:10-00-00_77aa.pkl",'
    b' "training_timestamp": "2024-02-02:10-00-00", "environment": "dev"}\n'
)
"""``log.txt`` of legacy records."""

LEGACY_INFERENCES = (
    b'{"inference_time": "2024-02-03:10-00-00", "environment": "prd", "inference_data": "shared/inf.csv",'
    b' "model_used": "model_2024-01-31:23-59-59_3f2a.pkl", "predictions": [40.0, 41.0]}\n'
    b'{"error_time": "2024-02-03:11-00-00", "error_message": "no model"}\n'
)
"""``log_inference.txt`` of legacy records."""


CHURN: dict[str, Any] = {
    "model_name": "churn",
    "dag_id": "prd_churn_train_model_dag",
    "problem": "binary",
    "classes": ["stays", "leaves"],
    "target": "left",
    "features": ["plan", "age"],
    "dtypes": {"plan": "category", "age": "double"},
    "missing": ["age"],
    "categories": {"plan": 3},
    "identifier": "customer",
    "metrics": {"accuracy": 0.81, "roc_auc": 0.792, "log_loss": 0.45, "brier": 0.15, "test_rows": 200},
    "goals": {"roc_auc": "maximize", "accuracy": "maximize", "log_loss": "minimize", "brier": "minimize"},
    "importances": {"plan": 0.125, "age": 0.03125},
    "plots": {"roc": {"false_positive_rate": [0.0, 0.5, 1.0], "true_positive_rate": [0.0, 0.75, 1.0]}},
}
"""What the lineage of a classifier has, a version of the model ``churn``."""


INFERENCE_STEPS = {"generate_inf_data", "preprocess_inf_data", "model_inference"}


def lineage(**changes: Any) -> Lineage:
    """A whole lineage, ``changes`` applied."""
    given: dict[str, Any] = {
        "dag_id": "prd_train_model_dag",
        "run_id": "manual__1",
        "task_id": "train_model",
        "try_number": 1,
        "map_index": -1,
        "features": ["a"],
        "dtypes": {"a": "int64"},
        "target": "y",
        "left_out": [],
        "transformation": "f" * 64,
        "data": Data(path="shared/inputs/t.csv", sha256="0" * 64, rows=3, source="t.csv"),
        "libraries": {"python": "3.13.0"},
        "parameters": {"test_fraction": 0.2},
        "metrics": {"r2": 0.5, "rmse": 1.25},
    }
    return Lineage(**{**given, **changes})


def publish(registry: Registry, environment: Environment = "prd", model: Any = None, **changes: Any) -> ModelRecord:
    """A model, published."""
    return registry.publish({"weights": [1.0, 2.0]} if model is None else model, environment, lineage(**changes))


def published_unserved(registry: Registry, environment: Environment, model: Any, **changes: Any) -> ModelRecord:
    """A model, published without being served: of a training of the past."""
    with publishing.dumped(registry.folder, model) as (copy, model_hash):
        return publishing.publish(
            registry, copy, model_hash=model_hash, environment=environment, lineage=lineage(**changes), serve=False
        )


def inferred(registry: Registry, model: ModelRecord, number: int = 0, **changes: Any) -> InferenceRecord:
    """An inference by ``model``, recorded; each ``number`` is of a time, a run and a file of its own."""
    given: dict[str, Any] = {
        "inference_time": f"2026-02-01T00:{number // 60:02d}:{number % 60:02d}.000001+00:00",
        "environment": model.environment,
        "inference_data": "shared/inputs/new.csv",
        "model_used": model.model_filename,
        "predictions": [1.5, 2.5],
        "model_hash": model.model_hash,
        "model_sha256": model.sha256,
        "predictions_path": f"shared/runs/prd_inference_pipe_dag/r{number}/predictions_{number}.parquet",
        "rows": 2,
        "input_sha256": "1" * 64,
        "output_sha256": f"{number:064x}",
        "dag_id": "prd_inference_pipe_dag",
        "run_id": f"manual__2026-02-01T00:00:00+00:00_{number}",
        "task_id": "model_inference",
        "try_number": 1,
        "map_index": -1,
    }
    record = InferenceRecord(**{**given, **changes})
    registry.record_inference(record)
    return record


def training_failure(moment: str = "2026-01-01T00:00:00.000000+00:00", **changes: Any) -> TrainingFailure:
    """The failure of the first try of ``train_model`` in the run ``manual__1``."""
    given: dict[str, Any] = {
        "error_timestamp": moment,
        "detail": "it failed",
        "environment": "prd",
        "step": "train_model",
        "cause": "crashed",
        "dag_id": "prd_train_model_dag",
        "run_id": "manual__1",
        "task_id": "train_model",
        "try_number": 1,
        "map_index": -1,
    }
    return TrainingFailure(**{**given, **changes})


def identity(**changes: Any) -> Identity:
    """An identity as Airflow hands it over."""
    given: dict[str, Any] = {"dag_id": "d", "run_id": "r", "task_id": "t", "try_number": 1, "map_index": -1}
    return Identity(**{**given, **changes})


def lines_of(log: Path) -> list[dict[str, Any]]:
    """The objects in ``log``; any line that is none raises. Empty where there is no log."""
    return [msgspec.json.decode(line) for line in log.read_bytes().splitlines()] if log.exists() else []


def records_of(log: Path) -> list[Any]:
    """The decoded lines of ``log``, by the codec alone."""
    return [record_lines.decode(line) for line in log.read_bytes().splitlines()]


def files_in(folder: Path) -> list[str]:
    """Every name in ``folder``, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


class Ended(msgspec.Struct, frozen=True):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> list[str]:
        """The lines on stderr."""
        return self.err.splitlines()


class Project:
    """The folders of a project, and its steps as a user runs them, in this process."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.shared = folder / "shared"
        self.models = folder / "models"
        self.inputs = folder / "inputs"
        for made in (self.shared, self.models, self.inputs):
            made.mkdir()
        self.registry = Registry(self.models)
        self._capsys = capsys

    def run(self, image: str, argv: Sequence[str]) -> Ended:
        """``image``'s entrypoint with ``argv``."""
        import inference.cli
        import trainer.cli

        self._capsys.readouterr()
        code = {"trainer": trainer.cli.main, "inference": inference.cli.main}[image](list(argv))
        captured = self._capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    def trainer(self, *argv: str) -> Ended:
        """A command of the trainer image."""
        return self.run("trainer", argv)

    def inference(self, *argv: str) -> Ended:
        """A command of the inference image."""
        return self.run("inference", argv)

    def put(self, name: str, content: bytes | str) -> str:
        """Drop a file into the inputs."""
        path = self.inputs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    def done(self, image: str, *argv: str) -> None:
        """Run a command that must succeed."""
        ended = self.run(image, argv)
        assert ended.code == 0, ended.err

    def train(self, *flags: str, environment: str = "dev", fraction: str = "0.2", seed: str = "0") -> ModelRecord:
        """Train; ``flags`` go to preprocessing."""
        self.done("trainer", "preprocessing", "--environment", environment, *flags)
        self.done("trainer", "train_model", "--environment", environment, "--test-fraction", fraction, "--seed", seed)
        return self.registry.latest(environment)

    def prepare_inference(self, source: str = "sample", environment: str = "dev") -> None:
        """Run what comes before model_inference."""
        self.done("inference", "generate_inf_data", "--environment", environment, "--source", source)
        self.done("inference", "preprocess_inf_data", "--environment", environment)

    def infer(self, source: str = "sample", *flags: str, environment: str = "dev") -> dict[str, Any]:
        """Predict; ``flags`` go to model_inference. Returns the record."""
        self.prepare_inference(source, environment)
        self.done("inference", "model_inference", "--environment", environment, *flags)
        return lines_of(self.registry.inference_journal)[-1]

    def model_files(self) -> list[str]:
        """The names of the model files."""
        return [name for name in files_in(self.models) if name.startswith("model_")]

    def predictions_files(self) -> list[str]:
        """The names of the predictions files."""
        return [name for name in files_in(self.shared) if name.startswith("predictions_")]

    def assert_nothing_half_written(self) -> None:
        """Neither folder holds a temporary file."""
        assert [name for name in files_in(self.shared) + files_in(self.models) if name.endswith(".tmp")] == []

    def assert_refused(
        self, ended: Ended, task: str, fragment: str, environment: str = "dev", cause: str = "refused"
    ) -> str:
        """The step was refused as design.md promises; returns its sentence."""
        pipeline = "inference" if task in INFERENCE_STEPS else "training"
        log = self.registry.training_journal if pipeline == "training" else self.registry.inference_journal
        assert ended.code == 1, ended.err
        assert len(ended.said) == 1, ended.err
        prefix = f"{task}: {cause}: "
        assert ended.said[0].startswith(prefix), ended.err
        sentence = ended.said[0].removeprefix(prefix)
        assert fragment in sentence, sentence
        assert NEXT.search(sentence), f"it does not say what to do next: {sentence}"
        failures = [line for line in lines_of(log) if "error_timestamp" in line or "error_time" in line]
        assert len(failures) == 1, failures
        assert lines_of(log)[-1] == failures[0]
        assert failures[0]["detail" if pipeline == "training" else "error_message"] == sentence
        assert failures[0]["cause"] == cause
        assert failures[0]["step"] == task
        assert failures[0]["environment"] == environment
        assert not (self.shared / f"{task}.json").exists()
        assert self.predictions_files() == []
        self.assert_nothing_half_written()
        return sentence

    def assert_refused_sealed(self, ended: Ended, task: str, fragment: str, cause: str = "refused") -> str:
        """The step was refused and has recorded nothing: that is another's to do. Returns its sentence."""
        assert ended.code == 1, ended.err
        assert len(ended.said) == 1, ended.err
        prefix = f"{task}: {cause}: "
        assert ended.said[0].startswith(prefix), ended.err
        sentence = ended.said[0].removeprefix(prefix)
        assert fragment in sentence, sentence
        assert NEXT.search(sentence), f"it does not say what to do next: {sentence}"
        return sentence
