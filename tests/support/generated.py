"""Records that hypothesis makes up, of every kind that decides something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from bulkhead.registry import record_lines
from bulkhead.registry.records import (
    InferenceFailure,
    InferenceRecord,
    ModelRecord,
    Promotion,
    Quarantine,
    Removal,
    Revocation,
    Rollback,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bulkhead.registry.records import Record

TIME = "2026-01-01T00:00:{:02}.000000+00:00"
NAMES = [f"model_{i}.joblib" for i in range(4)]


def model(name: str, environment: str, *, promoted: bool = False, **changes: Any) -> ModelRecord:
    promotion = Promotion(promotion_time=TIME.format(1), origin="dev", replaces=None, by="b", reason="r")
    given: dict[str, Any] = {
        "model_hash": "h",
        "model_filename": name,
        "training_timestamp": TIME.format(0),
        "environment": environment,
        "promotion": promotion if promoted else None,
    }
    return ModelRecord(**{**given, **changes})


def inference(second: int = 0, environment: str = "dev", **changes: Any) -> InferenceRecord:
    given: dict[str, Any] = {
        "inference_time": TIME.format(second),
        "environment": environment,
        "inference_data": "shared/inputs/t.csv",
        "model_used": NAMES[0],
        "predictions": [1.0],
        "run_id": f"run{second}",
    }
    return InferenceRecord(**{**given, **changes})


def failure(
    second: int = 0,
    environment: str | None = "dev",
    cause: str | None = "killed",
    model_name: str | None = None,
    source: str | None = None,
) -> InferenceFailure:
    return InferenceFailure(
        error_time=TIME.format(second),
        error_message="m",
        environment=environment,
        model_name=model_name,
        cause=cause,
        source=source,
        run_id=f"run{second}",
    )


decision: dict[str, Any] = {"by": "b", "reason": "r"}
name = st.sampled_from(NAMES)
environment = st.sampled_from(["dev", "prd"])
called = st.sampled_from([None, "model", "churn"])
anything = st.one_of(
    st.builds(
        model, name, environment, promoted=st.booleans(), model_name=called, serve=st.sampled_from([None, False])
    ),
    st.builds(model, name, environment),
    st.builds(
        lambda to, where, away: Rollback(
            rollback_time=TIME.format(2), environment=where, model_filename=to, withdrawn=away, **decision
        ),
        name,
        environment,
        st.lists(name, max_size=3),
    ),
    st.builds(
        lambda one: Revocation(revocation_time=TIME.format(3), model_filename=one, model_hash="h", **decision), name
    ),
    st.builds(
        lambda one: Removal(removal_time=TIME.format(4), paths=[f"models/{one}"], size_bytes=1, **decision), name
    ),
    st.builds(
        lambda one: Quarantine(
            quarantine_time=TIME.format(5), path=f"models/{one}", size_bytes=1, sha256="s", moved_to="q", **decision
        ),
        name,
    ),
)


def write(path: Path, written: Iterable[Record]) -> None:
    with path.open("ab") as file:
        for record in written:
            file.write(record_lines.encode(record))
