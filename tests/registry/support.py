"""Proposals as steps leave them in a run folder, and who made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import joblib
from tests.support.project import lineage

from bulkhead.files import sha256
from bulkhead.identity import Identity
from bulkhead.registry.chain import Key, KeyRing
from bulkhead.registry.proposals import InferenceProposal, ModelProposal
from bulkhead.registry.recording import Author
from bulkhead.registry.records import InferenceRecord

if TYPE_CHECKING:
    from pathlib import Path

    from bulkhead.registry.records import ModelRecord

WHO = Identity(
    dag_id="real_dag",
    run_id="real",
    task_id="train_model",
    try_number=2,
    map_index=-1,
    image="real/image",
    git_commit="c",
)
AUTHOR = Author(identity=WHO, environment="prd", first_try="the first try", by="Airflow's person", requested_by="asker")
RING = KeyRing(Key(b"k" * 32))


def model_in(run: Path, model: Any = None, **changes: Any) -> ModelProposal:
    """The proposal of a model whose file is in the run folder."""
    joblib.dump({"weights": [1.0]} if model is None else model, run / "model.joblib")
    content = (run / "model.joblib").read_bytes()
    given: dict[str, Any] = {
        "lineage": lineage(),
        "path": "model.joblib",
        "sha256": sha256(content),
        "size_bytes": len(content),
        "model_hash": "0123456789abcdef",
    }
    return ModelProposal(**{**given, **changes})


def inference_in(run: Path, model: ModelRecord, path: str = "predictions.parquet", **changes: Any) -> InferenceProposal:
    """The proposal of an inference whose predictions file is in the run folder."""
    (run / "predictions.parquet").write_bytes(b"predicted")
    given: dict[str, Any] = {
        "inference_time": "2026-01-01T00:00:00.000000+00:00",
        "environment": "prd",
        "inference_data": "shared/inputs/t.csv",
        "model_used": model.model_filename,
        "predictions": [1.0, 2.0],
        "model_hash": model.model_hash,
        "model_sha256": model.sha256,
        "rows": 2,
        "output_sha256": sha256(b"predicted"),
    }
    return InferenceProposal(record=InferenceRecord(**{**given, **changes}), path=path)
