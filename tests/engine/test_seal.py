"""The seal's one description: what it says, and that both ways to start a container say the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bulkhead import protocol
from engine import seal
from engine.seal import Mount
from engine.settings import Settings
from engine.step_spec import StepSpec

if TYPE_CHECKING:
    from bulkhead.paths import JournalName

SETTINGS = Settings(host_folder="/project", project="mine", uid=1234, memory="400m", cpus=1.5)


def spec(journal: JournalName = "training", **changes: Any) -> StepSpec:
    return replace(StepSpec(image="trainer", command=["preprocessing"], journal=journal), **changes)


def sealed(of: StepSpec, **identity: object) -> seal.Seal:
    return seal.of_step(of, SETTINGS, "shared/runs/debug", identity)


def test_a_step_may_do_what_the_page_about_the_seal_says_and_nothing_more() -> None:
    """In words of its own, or a weaker description would find itself right. See docs/seal.md."""
    made = sealed(spec()).body("sha256:1", ["preprocessing"])
    host = made.pop("HostConfig")
    assert {name: made[name] for name in ("Image", "Cmd", "User")} == {
        "Image": "sha256:1",
        "Cmd": ["preprocessing"],
        "User": "1234:0",
    }
    assert set(made) == {"Image", "Cmd", "User", "Env", "Labels"}
    assert host == {
        "AutoRemove": False,
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "Tmpfs": {"/tmp": "size=256m,mode=1777"},
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": 256,
        "Init": True,
        "CpuShares": 256,
        "OomScoreAdj": 500,
        "NanoCpus": 1_500_000_000,
        "Memory": 400 << 20,
        "MemorySwap": 400 << 20,
        "Ulimits": [{"Name": "fsize", "Soft": 20 << 30, "Hard": 20 << 30}],
        "LogConfig": {"Type": "local", "Config": {"max-size": "1g", "max-file": "2", "compress": "false"}},
        "Mounts": [
            {"Type": "bind", "Source": "/project/shared/runs/debug", "Target": "/shared", "ReadOnly": False},
            {"Type": "bind", "Source": "/project/shared/inputs", "Target": "/inputs", "ReadOnly": True},
            {"Type": "bind", "Source": "/project/models", "Target": "/models", "ReadOnly": True},
        ],
    }


def test_a_step_is_told_who_it_is_and_how_many_threads_it_has() -> None:
    assert sealed(spec(environment="dev", model_name="churn"), RUN_ID="r", TRY_NUMBER=2, DAG_ID=None).variables == {
        "BULKHEAD_ENVIRONMENT": "dev",
        "BULKHEAD_MODEL_NAME": "churn",
        "BULKHEAD_PROTOCOL": str(protocol.PROTOCOL),
        "BULKHEAD_RUN_ID": "r",
        "BULKHEAD_TRY_NUMBER": "2",
        "OMP_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "2",
        "OMP_WAIT_POLICY": "passive",
    }


def test_a_step_whose_flags_say_which_model_is_not_told() -> None:
    assert "BULKHEAD_MODEL_NAME" not in sealed(spec()).variables


def test_a_folder_with_a_comma_or_a_quote_is_one_value_of_docker_runs_mount() -> None:
    assert Mount(source="/a,b", target="/t").as_option == 'type=bind,"source=/a,b",target=/t,readonly'
    assert Mount(source='/a"b', target="/t", read_only=False).as_option == 'type=bind,"source=/a""b",target=/t'


def test_the_registrys_command_line_is_sealed_like_a_step_but_for_the_cpus_and_the_kept_output() -> None:
    step, registry = sealed(spec()), seal.of_registry(SETTINGS, sealed(spec()).mounts, sealed(spec()).variables)
    assert registry == replace(step, cpus=None, file_size=None, output_size=None)
    assert "--cpus" not in registry.run_options()
    assert registry.run_options()[registry.run_options().index("--log-driver") + 1] == "none"
