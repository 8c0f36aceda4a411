"""Faults of the step and of what it stands on: kills, limits, images, mounts, disks, logs."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.faults.shell import (
    begin_to_publish,
    build,
    docker,
    ends_well,
    hidden_files,
    record_of,
    task_lines,
)
from tests.faults.support import TRAIN, Fault, Row, wait_until
from tests.system.support import Stack

from bulkhead.run_folder import run_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.system, pytest.mark.fault]

AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
LARGE = "large.csv"
TRAIN_SECONDS = 15

FIRST_TRY_ENDS_AT_ONCE = """
FROM {base}
ENTRYPOINT ["sh", "-c", "test $BULKHEAD_TRY_NUMBER = 1 || exec trainer $0 $@"]
"""

# 20 MB on stdout, a line on stderr for every hundred, characters of two bytes that the engine's
# entries (16 KiB) cut, a progress bar; then the step itself.
FLOOD_LINES = 40_000
FLOOD_BARS = 1_000
FLOOD_LONG = 30_000
FLOOD = """
FROM {base}
COPY <<"EOF" /flood.py
import os, sys
def say(stream, text):
    rest = text.encode()
    while rest:
        rest = rest[os.write(stream, rest[:4093]):]
if sys.argv[1] == "preprocessing":
    say(1, "x" + "\\u00e9" * {long} + "\\n")
    for number in range({bars}):
        say(1, f"bar {{number}}\\r")
    say(1, "\\n")
    for hundred in range({lines} // 100):
        say(1, "".join(f"out {{hundred * 100 + i}} " + "\\u00e9" * 250 + "\\n" for i in range(100)))
        say(2, f"err {{hundred}}\\n")
os.execvp("trainer", ["trainer", *sys.argv[1:]])
EOF
ENTRYPOINT ["python", "/flood.py"]
"""


# Kills.


def test_a_step_killed_by_sigkill_is_run_again_and_publishes_one_model(stack: Stack, fault: Fault) -> None:
    with stack.locked("log.txt"):
        run_id, container = begin_to_publish(stack)
        docker("kill", container["Id"])
        since = time.time()
    ends_well(fault, run_id, [(1, "killed")], since)
    assert record_of(stack, run_id, 1)["evidence"]["exit_code"] == 137


def test_a_step_killed_by_sigterm_stops_and_leaves_nothing_half_written(stack: Stack, fault: Fault) -> None:
    with large_table(stack, 1_500_000):
        run_id = stack.airflow.trigger(TRAIN, {"source": LARGE})
        container = stack.wait_for_step("preprocessing")
        at_work(stack, run_id)
        docker("kill", "--signal", "TERM", container["Id"])
        ends_well(fault, run_id, [(1, "killed")], time.time())
    assert "SIGTERM: stopped before the end, nothing stored" in record_of(stack, run_id, 1)["detail"]
    assert hidden_files(stack.folder / run_path(TRAIN, run_id)) == []


def test_docker_stop_of_a_step_about_to_publish_is_one_kill_and_one_model(stack: Stack, fault: Fault) -> None:
    with stack.locked("log.txt"):
        run_id, container = begin_to_publish(stack)
        docker("stop", "--time", "1", container["Id"])
        since = time.time()
    ends_well(fault, run_id, [(1, "killed")], since)


def test_a_container_removed_by_force_is_one_kill_and_one_model(stack: Stack, fault: Fault) -> None:
    with stack.locked("log.txt"):
        run_id, container = begin_to_publish(stack)
        docker("rm", "--force", container["Id"])
        since = time.time()
    ends_well(fault, run_id, [(1, "killed")], since)


# Limits.


def test_preprocessing_out_of_memory_fails_once_with_its_limit(stack: Stack, fault: Fault) -> None:
    with large_table(stack, 4_000_000):
        run_id = stack.airflow.trigger(TRAIN, {"source": LARGE})
        fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "out_of_memory")])
    record = record_of(stack, run_id, 1)
    assert record["step"] == "preprocessing"
    assert "400m" in record["detail"]


def test_training_out_of_memory_fails_once_with_its_limit(stack: Stack, fault: Fault) -> None:
    source = stack.inputs / "wide.parquet"
    write_wide_table(source, rows=320_000, columns=20)  # 0.2 MB on disk; 51 MB in memory, and training needs copies
    run_id = stack.airflow.trigger(TRAIN, {"source": source.name})
    fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "out_of_memory")])
    source.unlink()
    record = record_of(stack, run_id, 1)
    assert record["step"] == "train_model"
    assert "400m" in record["detail"]


# Images.


def test_a_missing_image_fails_once_and_says_what_builds_it(stack: Stack, fault: Fault) -> None:
    stack.untag("trainer")
    try:
        run_id = stack.airflow.trigger(TRAIN)
        fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "image_missing")])
    finally:
        stack.tag("trainer")
    assert "just build-images" in record_of(stack, run_id, 1)["detail"]


def test_an_image_replaced_while_its_step_runs_leaves_each_record_with_the_one_that_ran(
    stack: Stack, fault: Fault
) -> None:
    with another_image(stack, "FROM {base}\nLABEL another=yes\n") as new:
        with stack.locked("log.txt"):
            run_id, container = begin_to_publish(stack)
            docker("tag", new, f"bulkhead/trainer:{stack.project}")
            docker("kill", container["Id"])
            since = time.time()
        ends_well(fault, run_id, [(1, "killed")], since)
    assert container["Image"] != new
    assert record_of(stack, run_id, 1)["image"].endswith(f"@{container['Image']}")
    assert model_of(stack, run_id)["image"].endswith(f"@{new}")


def test_a_step_that_ends_well_without_a_result_is_no_success(stack: Stack, fault: Fault) -> None:
    with replaced(stack, FIRST_TRY_ENDS_AT_ONCE):
        run_id = stack.airflow.trigger(TRAIN)
        fault.end(TRAIN, run_id, state="success", models=1, failures=[(1, "no_result"), (1, "no_result")])
    assert [record["step"] for record in stack.trainings(run_id) if "cause" in record] == [
        "preprocessing",
        "train_model",
    ]


# Folders.


def test_a_folder_that_cannot_be_mounted_fails_once_and_says_which(stack: Stack, fault: Fault) -> None:
    away = stack.inputs.rename(stack.inputs.with_name("away"))
    try:
        run_id = stack.airflow.trigger(TRAIN)
        fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "mount_missing")])
    finally:
        away.rename(stack.inputs)
    assert "shared/inputs" in record_of(stack, run_id, 1)["detail"]


def test_a_registry_that_cannot_be_written_fails_once_and_publishes_nothing(stack: Stack, fault: Fault) -> None:
    stack.models.chmod(0o555)
    try:
        run_id = stack.airflow.trigger(TRAIN)
        fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "refused")])
    finally:
        stack.models.chmod(0o775)
    assert record_of(stack, run_id, 1)["step"] == "train_model"


def test_a_step_waits_for_another_holder_of_the_lock_and_publishes_one_model(stack: Stack, fault: Fault) -> None:
    with stack.locked("log.txt"):
        run_id, _ = begin_to_publish(stack)
        time.sleep(5)
        assert stack.trainings(run_id) == []
        since = time.time()
    ends_well(fault, run_id, [], since)


def test_a_torn_last_line_stays_alone_and_the_next_record_is_whole(stack: Stack, fault: Fault) -> None:
    log = stack.models / "log.txt"
    before = log.read_bytes()
    torn = b'{"model_hash": "cut by a po'
    log.write_bytes(before + torn)
    run_id, state = stack.run(TRAIN)
    after = log.read_bytes()
    assert state == "success"
    assert after.startswith(before + torn + b"\n{")
    log.write_bytes(before + after.removeprefix(before + torn + b"\n"))  # the four checks read every line
    fault.end(TRAIN, run_id, state="success", models=1, failures=[])


# Logs.


def test_a_flood_of_output_arrives_whole_in_order_and_in_bounded_memory(stack: Stack, fault: Fault) -> None:
    numbers = {"lines": FLOOD_LINES, "bars": FLOOD_BARS, "long": FLOOD_LONG}
    with replaced(stack, FLOOD, **numbers), sampled(lambda: scheduler_memory(stack)) as memory:
        run_id = stack.airflow.trigger(TRAIN)
        fault.end(TRAIN, run_id, state="success", models=1, failures=[])
    lines = task_lines(stack, run_id, "preprocessing")
    out = [line for level, line in lines if level == "info"]
    err = [line for level, line in lines if level == "warning"]
    tail = " " + "\u00e9" * 250
    assert [line for line in out if line.startswith("out ")] == [f"out {i}{tail}" for i in range(FLOOD_LINES)]
    assert [line for line in out if line.startswith("bar ")] == [f"bar {i}" for i in range(FLOOD_BARS)]
    assert "x" + "\u00e9" * FLOOD_LONG in out
    assert [line for line in err if line.startswith("err ")] == [f"err {i}" for i in range(FLOOD_LINES // 100)]
    assert max(memory) - memory[0] < 300 << 20, memory


# Disks and limits, on a stack whose folders are small disks.


def test_a_full_disk_under_the_registry_fails_once_and_leaves_no_half_file(small_stack: Stack, fault: Fault) -> None:
    on(fault, small_stack)
    with filled(small_stack.models):
        run_id = small_stack.airflow.trigger(TRAIN)
        # Its record finds room in the log's last block; a model does not.
        fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "refused")])
        assert "The disk is full" in record_of(small_stack, run_id, 1)["detail"]
        assert hidden_files(small_stack.models) == []
    the_next_run_publishes(small_stack)


def test_a_full_disk_under_the_run_folders_fails_once_and_leaves_no_half_file(small_stack: Stack, fault: Fault) -> None:
    on(fault, small_stack)
    with filled(small_stack.runs):
        run_id = small_stack.airflow.trigger(TRAIN)
        fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "refused")])
        record = record_of(small_stack, run_id, 1)
        assert record["step"] == "preprocessing"
        assert "The disk is full" in record["detail"]
        assert hidden_files(small_stack.folder / run_path(TRAIN, run_id)) == []
    the_next_run_publishes(small_stack)


def test_a_step_over_its_time_limit_is_stopped_and_not_run_again(small_stack: Stack, fault: Fault) -> None:
    on(fault, small_stack)
    seconds = {"BULKHEAD_STEP_SECONDS_TRAIN_MODEL": str(TRAIN_SECONDS)}
    with limited(small_stack, **seconds), small_stack.locked("log.txt"):
        run_id, container = begin_to_publish(small_stack)
        wait_until(lambda: not small_stack.running_steps(), TRAIN_SECONDS + 15, "the step was not stopped")
    fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "timed_out")])
    record = record_of(small_stack, run_id, 1)
    assert TRAIN_SECONDS <= record["evidence"]["duration_seconds"] < TRAIN_SECONDS + 10
    assert f"not done after {TRAIN_SECONDS} s" in record["detail"]
    # Kept as evidence, out of the way of the next try.
    assert container["Id"] in {left["Id"] for left in small_stack.step_containers()}


@pytest.mark.parametrize("pids", [1, 2, 3])
def test_a_step_that_can_start_no_thread_fails_once_and_says_so(small_stack: Stack, fault: Fault, pids: int) -> None:
    on(fault, small_stack)
    with limited(small_stack, BULKHEAD_STEP_PIDS=str(pids)):
        run_id = small_stack.airflow.trigger(TRAIN)
        fault.end(TRAIN, run_id, state="failed", models=0, failures=[(1, "crashed")])
    assert "BULKHEAD_STEP_PIDS" in record_of(small_stack, run_id, 1)["detail"]


@pytest.fixture(scope="module")
def small_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose models/ and shared/runs/ are disks of a megabyte; mounted before its containers look."""
    if AS_ROOT and subprocess.run([*AS_ROOT, "true"], check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk takes root, or sudo without a password")
    made = Stack(
        tmp_path_factory.mktemp("small"),
        BULKHEAD_STEP_RETRIES="2",
        BULKHEAD_STEP_RETRY_SECONDS="1",
    )
    disks = (made.models, made.runs)
    options = f"size=1m,mode=0775,uid={os.geteuid()},gid={os.getegid()}"
    try:
        for folder in disks:
            subprocess.run([*AS_ROOT, "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
        made.up()
        made.run(TRAIN)
        yield made
    finally:
        made.down()
        for folder in disks:
            subprocess.run([*AS_ROOT, "umount", str(folder)], check=False, capture_output=True)


def at_work(stack: Stack, run_id: str) -> None:
    """Wait until the step has reserved its result: its signal handlers are set, its work begins."""
    folder = stack.folder / run_path(TRAIN, run_id)
    wait_until(lambda: hidden_files(folder), 60, "the step did not begin its work")


def on(fault: Fault, stack: Stack) -> None:
    """The fault is ``stack``'s."""
    fault.stack = stack
    fault.begin()


@contextmanager
def limited(stack: Stack, **settings: str) -> Iterator[None]:
    """The scheduler has been started anew with ``settings``; the next one is without them."""
    stack.environment.update(settings)
    stack.compose("up", "--detach", "--wait", "--no-build", "--no-deps", "scheduler")
    try:
        yield
    finally:
        for name in settings:
            del stack.environment[name]


def the_next_run_publishes(stack: Stack) -> None:
    healed = Fault(stack, Row("healed"))
    healed.begin()
    healed.end(TRAIN, stack.airflow.trigger(TRAIN), state="success", models=1, failures=[])


def model_of(stack: Stack, run_id: str) -> dict[str, Any]:
    (record,) = (r for r in stack.trainings(run_id) if "model_filename" in r)
    return record


def write_wide_table(path: Path, rows: int, columns: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = np.arange(rows, dtype=float)
    table = {f"f{i}": count % (i + 2) for i in range(columns)} | {"target": count % 7}
    pq.write_table(pa.table(table), path)


@contextmanager
def large_table(stack: Stack, rows: int) -> Iterator[None]:
    path = stack.inputs / LARGE
    path.write_text("a,b,target\n" + "123456,7891011,12131415\n" * rows)
    try:
        yield
    finally:
        path.unlink()


@contextmanager
def another_image(stack: Stack, dockerfile: str, **values: object) -> Iterator[str]:
    """An image on the trainer's base, its id; at the end the trainer's tag is the trainer's again."""
    image = build(dockerfile, **values)
    try:
        yield image
    finally:
        stack.tag("trainer")
        docker("rmi", "--force", image)


@contextmanager
def replaced(stack: Stack, dockerfile: str, **values: object) -> Iterator[None]:
    """Another image under the trainer's tag."""
    with another_image(stack, dockerfile, **values) as image:
        docker("tag", image, f"bulkhead/trainer:{stack.project}")
        yield


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """No block is free on the disk under ``folder``."""
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"\0" * 4096)
        assert os.statvfs(folder).f_bfree == 0
        yield
    finally:
        filler.unlink()


@contextmanager
def sampled(value: Callable[[], int]) -> Iterator[list[int]]:
    """What ``value()`` was: before, and again and again until the end."""
    values = [value()]
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(0.5):
            values.append(value())

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield values
    finally:
        ended.set()
        sampler.join()


def scheduler_memory(stack: Stack) -> int:
    """Bytes resident in the scheduler's container, every process counted."""
    container = stack.compose("ps", "--quiet", "scheduler").strip()
    return sum(int(line.split()[1]) for line in docker("top", container, "-eo", "pid,rss").splitlines()[1:]) * 1024
