"""What a step prints, in the task log: whole, in order, in bounded memory, with secrets masked, whatever its size."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.faults.shell import docker, limited, record_of, replaced, task_lines
from tests.faults.support import AT_ONCE, TRAIN, Fault, status
from tests.system.support import ROOT, Stack

from engine.line_splitter import LONGEST_LINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.system, pytest.mark.fault]

MEGABYTES = int(os.environ.get("BULKHEAD_LOG_MEGABYTES") or 20)
"""How much the flood is; CONTRIBUTING says how to make it a gigabyte."""
LENGTH = 1_000
TAIL = " " + "\u00e9" * LENGTH
BARS = 1_000
LONG = 30_000

# A line on stderr for every hundred on stdout, characters of two bytes that the engine's entries
# (16 KiB) cut, a progress bar; then the step itself.
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
        say(1, "".join(f"out {{hundred * 100 + i}} " + "\\u00e9" * {length} + "\\n" for i in range(100)))
        say(2, f"err {{hundred}}\\n")
os.execvp("trainer", ["trainer", *sys.argv[1:]])
EOF
ENTRYPOINT ["python", "/flood.py"]
"""

SECRETS = {
    "password": "of-the-connection-0815",
    "api_key": "of-the-variable-4711",
    "registered": "of-mask-secret-2342",
}
PLAIN = "of-no-secret-at-all"
TELLS = """
FROM {base}
COPY <<"EOF" /tell.py
import sys
for flag in sys.argv[2:]:
    name, _, value = flag.removeprefix("--").partition("=")
    for stream in (sys.stdout, sys.stderr):
        print(f"{{name}}: {{value}} and again ({{value}})", file=stream)
        print("x" * ({longest} - len(value) // 2) + value, file=stream, flush=True)
        print("x" * ({longest} - len(value) // 2) + value, end=" without end of line\\n", file=stream, flush=True)
print(*sys.argv[2:], file=sys.stderr)
sys.exit(70)
EOF
ENTRYPOINT ["python", "/tell.py"]
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with one DAG more: ``tests/faults/dags``."""
    folder = tmp_path_factory.mktemp("stack")
    dags = shutil.copytree(ROOT / "dags", folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(__file__).parent / "dags" / "tell.py", dags)
    mount = {"volumes": [f"{dags}:/opt/airflow/dags:ro"]}
    services = ("init", "api-server", "scheduler", "dag-processor", "triggerer")
    more = folder / "more.yaml"
    more.write_text(json.dumps({"services": dict.fromkeys(services, mount)}))
    made = Stack(folder, COMPOSE_FILE=f"docker-compose.yaml:{more}", **AT_ONCE)
    with status(made):
        yield made


def test_a_flood_of_output_arrives_whole_in_order_and_in_bounded_memory(stack: Stack, fault: Fault) -> None:
    count = MEGABYTES * 500
    with flooding(stack, count), sampled(lambda: scheduler_memory(stack)) as memory:
        run_id = stack.airflow.trigger(TRAIN)
        fault.end(TRAIN, run_id, state="success", models=1, failures=[], seconds=300 + 4 * MEGABYTES)
    expected = {
        "out": (f"{i}{TAIL}" for i in range(count)),
        "err": map(str, range(count // 100)),
        "bar": map(str, range(BARS)),
    }
    longest = False
    for level, line in task_lines(stack, run_id):
        kind, _, rest = line.partition(" ")
        if kind in expected:
            assert rest == next(expected[kind])
            assert level == ("warning" if kind == "err" else "info")
        longest = longest or line == "x" + "\u00e9" * LONG
    assert longest
    assert [next(rest, None) for rest in expected.values()] == [None] * 3
    sums, largest = zip(*memory, strict=True)
    grown = max(sums) - sums[0]
    fault.row.note = f"{MEGABYTES} MB: scheduler grew by {grown >> 20} MB, largest process {max(largest) >> 20} MB"
    assert grown < 300 << 20, sums


def test_where_a_step_prints_more_than_the_engine_keeps_its_log_says_that_lines_are_missing(
    stack: Stack, fault: Fault
) -> None:
    count = 50_000  # 100 MB, in a second or two
    with limited(stack, BULKHEAD_STEP_LOG="10m"), flooding(stack, count):
        run_id = stack.airflow.trigger(TRAIN)
        fault.end(TRAIN, run_id, state="success", models=1, failures=[])
    numbers = [-1]
    said = 0
    for _, line in task_lines(stack, run_id):
        kind, _, rest = line.partition(" ")
        number = rest.removesuffix(TAIL)
        if line.startswith("Lines are missing here"):
            said += 1
            numbers.append(-1)
        elif kind == "out" and number != rest and number.isdigit():
            numbers.append(int(number))
    assert said > 0
    assert numbers[-1] == count - 1
    assert [pair for pair in itertools.pairwise(numbers) if -1 not in pair and pair[1] != pair[0] + 1] == []


def test_secrets_that_airflow_knows_are_masked_in_what_a_step_prints_and_in_its_record(
    stack: Stack, fault: Fault
) -> None:
    connection = {"connection_id": "tell", "conn_type": "http", "password": SECRETS["password"]}
    stack.airflow.request("POST", "/api/v2/connections", connection)
    for key, value in {"tell_api_key": SECRETS["api_key"], "tell_plain": PLAIN}.items():
        stack.airflow.request("POST", "/api/v2/variables", {"key": key, "value": value})
    stack.airflow.wait_for_dag("dev_tell_dag")
    with replaced(stack, TELLS, longest=LONGEST_LINE):
        run_id = stack.airflow.trigger("dev_tell_dag", {"registered": SECRETS["registered"]})
        fault.end("dev_tell_dag", run_id, state="failed", models=0, failures=[(1, "crashed")])
    lines = list(task_lines(stack, run_id, dag_id="dev_tell_dag"))
    record = record_of(stack, run_id, 1)
    for level in ("info", "warning"):
        # What is cut into two entries must not be a secret either.
        told = "".join(line for its_level, line in lines if its_level == level)
        assert [name for name, secret in SECRETS.items() if secret in told] == []
        assert f"plain: {PLAIN} and again ({PLAIN})" in told
        for name in SECRETS:
            assert f"{name.replace('_', '-')}: *** and again (***)" in told
    assert [name for name, secret in SECRETS.items() if secret in json.dumps(record)] == []
    assert record["evidence"]["last_lines"][-1] == f"--password=*** --api-key=*** --registered=*** --plain={PLAIN}"
    assert "--password=*** --api-key=*** --registered=***" in record["detail"]


@contextmanager
def flooding(stack: Stack, lines: int) -> Iterator[None]:
    """Preprocessing prints ``lines`` lines of 2 KB, and more."""
    with replaced(stack, FLOOD, lines=lines, bars=BARS, long=LONG, length=LENGTH):
        yield


@contextmanager
def sampled(value: Callable[[], tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
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


def scheduler_memory(stack: Stack) -> tuple[int, int]:
    """Bytes resident in the scheduler's container: of all processes, and of the largest."""
    container = stack.compose("ps", "--quiet", "scheduler").strip()
    sizes = [int(line.split()[1]) * 1024 for line in docker("top", container, "-eo", "pid,rss").splitlines()[1:]]
    return sum(sizes), max(sizes)
