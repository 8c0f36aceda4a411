"""``just registry``, as a person runs it: names of the host, exit codes, and no more access than a command needs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.containers.support import records
from tests.support.clone import settings

if TYPE_CHECKING:
    from tests.support.clone import Clone

pytestmark = pytest.mark.container


def test_models_are_listed_traced_rolled_back_and_revoked_by_the_names_of_the_host(clone: Clone) -> None:
    for image, step, *flags in (
        *(("trainer", "preprocessing"), ("trainer", "train_model"), ("trainer", "train_model", "--seed", "7")),
        *(("inference", "generate_inf_data"), ("inference", "preprocess_inf_data"), ("inference", "model_inference")),
    ):
        ended = clone.run("just", "step", image, step, *flags)
        assert ended.returncode == 0, ended.stderr
    first, second = (record["model_filename"] for record in records(clone.folder / "models/log.txt"))
    (inference,) = records(clone.folder / "models/log_inference.txt")

    def registry(*argv: str, code: int = 0, **variables: str) -> str:
        ended = clone.run("just", "registry", *argv, BULKHEAD_PORT="8123", **variables)
        assert ended.returncode == code, ended.stderr
        return ended.stdout if code == 0 else ended.stderr

    assert registry("latest", "--environment", "dev") == f"{second}\n"
    traced = registry("trace", str(clone.folder / inference["predictions_path"]))
    assert f"{inference['predictions_path']}  (as recorded" in traced
    assert f"models/{second}  (as recorded" in traced
    assert registry("trace", inference["predictions_path"]) == traced
    promoted = registry("promote", second, "--reason", "it is good")
    assert f"prd serves    model #2 ({second}), promoted from dev by" in promoted
    assert "checked with  python 3." in promoted
    assert registry("latest", "--environment", "prd") == f"{second}\n"
    assert f"dev serves    model #1 ({first})" in registry(
        "rollback", "--environment", "dev", "--reason", "a try", BULKHEAD_BY="ada"
    )
    assert "serves nothing now" in registry("revoke", "model #1", "--reason", 'it\'s "bad"', "--yes")
    rollback, revocation = records(clone.folder / "models/log.txt")[3:]
    registry("note", "model #2", "the one that stays")
    registry("tag", "#2", "reviewed=yes")
    assert second in registry("list", "--tag", "reviewed=yes")
    assert (rollback["by"], rollback["reason"], rollback["withdrawn"]) == ("ada", "a try", [second])
    assert revocation["reason"] == 'it\'s "bad"'
    assert revocation["by"] == clone.run("id", "-un").stdout.strip()
    assert revocation["image"].startswith("bulkhead/registrar:")
    assert "clean" in registry("verify")
    assert not list((clone.folder / "shared/runs").glob("check-*"))
    refused = registry("latest", "--environment", "dev", code=1)
    assert refused.startswith(
        "registry: models/log.txt: every model of the environment dev was revoked, rolled back or"
    )
    registry("nonsense", code=2)


def test_a_model_that_cannot_be_loaded_is_not_promoted_and_its_pickle_sees_nothing_to_write(clone: Clone) -> None:
    for step in ("preprocessing", "train_model"):
        assert clone.run("just", "step", "trainer", step).returncode == 0
    (record,) = records(clone.folder / "models/log.txt")
    model = clone.folder / "models" / record["model_filename"]
    model.chmod(0o644)
    model.write_bytes(b"no model")
    before = (clone.folder / "models/log.txt").read_bytes()
    ended = clone.run("just", "registry", "promote", record["model_filename"], "--reason", "blind")
    assert ended.returncode == 1, ended.stderr
    assert record["model_filename"] in ended.stderr
    assert (clone.folder / "models/log.txt").read_bytes() == before
    assert not list((clone.folder / "shared/runs").glob("check-*"))


@pytest.mark.parametrize("argv", [["promote", "--help"], ["promote"], ["promote", "x"], ["promote", "x", "--reason"]])
def test_words_that_are_no_promotion_are_answered_by_the_command_itself(clone: Clone, argv: list[str]) -> None:
    ended = clone.run("just", "registry", *argv)
    assert ended.returncode == (0 if "--help" in argv else 2), ended.stderr
    assert "Traceback" not in ended.stderr
    assert "--reason" in ended.stdout + ended.stderr or "MODEL" in ended.stderr


def test_logs_are_accepted_by_the_registrar_and_so_not_while_it_is_down(clone: Clone) -> None:
    ended = clone.run("just", "registry", "accept", "--reason", "restored from a backup")
    assert ended.returncode == 1
    assert "just up" in ended.stderr


def test_a_reader_that_has_seen_enough_ends_the_container_too(clone: Clone) -> None:
    line = b'{"inference_time": "t", "environment": "dev", "inference_data": "d", "model_used": "m"}\n'
    (clone.folder / "models/log_inference.txt").write_bytes(line * 300_000)
    piped = "set -o pipefail; just registry list --inferences --json | head -n 1"
    ended = clone.run("bash", "-c", piped)
    assert (ended.returncode, ended.stderr.count("\n")) == (141, ended.stderr.count("bulkhead:")), ended.stderr
    assert ended.stdout.count("\n") == 1
    wait_for_no_container(clone)


@pytest.mark.parametrize(
    ("verbs", "expected", "has_key"),
    [
        (
            ["--help", "list", "show", "latest", "compare", "trace", "impact", "predictions"],
            ["/models,readonly", "/shared,readonly"],
            False,
        ),
        (["verify"], ["/models,readonly", "/shared,readonly"], True),
        (["promote", "rollback", "revoke", "note", "tag", "repair"], ["/models", "/shared,readonly"], True),
        (["gc"], ["/models", "/shared"], True),
    ],
    ids=["reading", "verifying", "deciding", "removing"],
)
def test_a_command_gets_no_more_access_than_it_needs(
    verbs: list[str], expected: list[str], clone: Clone, *, has_key: bool
) -> None:
    clone.run("scripts/env.sh")
    key = settings(clone)["BULKHEAD_REGISTRY_KEY"]
    for verb in verbs:
        arguments = clone.docker_run("just", "registry", verb)
        # By its name alone: a command line can be read by every user of the host.
        assert ("BULKHEAD_REGISTRY_KEY" in arguments, "BULKHEAD_REGISTRY_OLD_KEYS" in arguments) == (has_key, has_key)
        assert not any(key in argument for argument in arguments)
        mounts = [argument for argument in arguments if argument.startswith("type=bind,")]
        assert [mount.partition(",target=")[2] for mount in mounts] == expected
        for sealed in ("--read-only", "--network", "none", "ALL", "no-new-privileges", "--memory", "--pids-limit"):
            assert sealed in arguments
        assert "--tty" not in arguments


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_command_that_a_signal_ends_takes_its_container_along(clone: Clone, number: int, code: int) -> None:
    line = b'{"inference_time": "t", "environment": "dev", "inference_data": "d", "model_used": "m"}\n'
    (clone.folder / "models/log_inference.txt").write_bytes(line * 300_000)
    command = [sys.executable, "scripts/registry.py", "list", "--inferences", "--json"]
    with subprocess.Popen(
        command, cwd=clone.folder, env=clone.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline()  # it writes, and soon waits for its reader
        started.send_signal(number)
        started.stdout.close()
    assert started.returncode == code
    wait_for_no_container(clone)


def wait_for_no_container(clone: Clone) -> None:
    left = ["docker", "ps", "--quiet", "--filter", f"label=io.bulkhead.project={clone.project}"]
    deadline = time.monotonic() + 30
    while clone.run(*left).stdout:
        assert time.monotonic() < deadline, "the container still writes"
        time.sleep(0.2)
