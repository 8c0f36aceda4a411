# Every action a person takes. Bare `just` lists them; CI calls these and nothing else.

set positional-arguments

# List the recipes
[private]
default:
    @just --list --unsorted

# Train and predict in prd, on the diabetes table or on one of yours: just demo [shared/inputs/FILE.csv]
[group('run')]
[no-exit-message]
demo *args: up
    @python3 scripts/demo.py "$@"

# Start everything, building what is missing; wait until healthy; print the address and login
[group('run')]
[no-exit-message]
up:
    @scripts/up.sh

# Stop Airflow, its database, launcher and registrar; a running step ends by itself, and models, runs, history and logs stay
[group('run')]
[no-exit-message]
down:
    @scripts/down.sh

# Follow the logs, of all services or of those named: just logs scheduler
[group('run')]
[no-exit-message]
logs *services:
    @docker compose logs --follow --tail 200 "$@"

# Remove the containers of failed steps after a day; whatever else a task started is the registrar's
[group('run')]
reap:
    @python3 scripts/reap.py

# Run one step by hand, sealed as Airflow runs it: just step trainer preprocessing --source my.csv
[group('run')]
[no-exit-message]
step *args:
    @python3 scripts/step.py "$@"

# Show the hosts on which steps run: their engines, free slots, last sign of life
[group('hosts')]
[no-exit-message]
hosts *options:
    @python3 scripts/manage_hosts.py list "$@"

# Add a host, and print what to run on it: just host-add NAME [--queues gpu,default] [--address HERE]
[group('hosts')]
[no-exit-message]
host-add *args:
    @python3 scripts/manage_hosts.py add "$@"

# Have a host take no new work; what runs there ends there: just host-drain NAME [--undo]
[group('hosts')]
[no-exit-message]
host-drain *args:
    @python3 scripts/manage_hosts.py drain "$@"

# Forget a host; its secret is none any more: just host-remove NAME
[group('hosts')]
[no-exit-message]
host-remove *args:
    @python3 scripts/manage_hosts.py remove "$@"

# Say that a host is down for certain: its steps are started elsewhere now, not after the lease
[group('hosts')]
[no-exit-message]
host-release *args:
    @python3 scripts/manage_hosts.py release "$@"

# On another host: join it to the first one, by the code that `just host-add` printed there
[group('hosts')]
[no-exit-message]
host-join *code:
    @scripts/host.sh join "$@"

# On another host: stop its worker, launcher and link. Drain it first: what runs is given up after the lease
[group('hosts')]
[no-exit-message]
host-down:
    @scripts/host.sh down

# On another host: remove the containers of failed steps after a day
[group('hosts')]
[no-exit-message]
host-reap:
    @scripts/host.sh reap

# On another host: follow the logs of its services
[group('hosts')]
[no-exit-message]
host-logs *services:
    @scripts/host.sh logs "$@"

# Show the registered models in a table
[group('registry')]
[no-exit-message]
models:
    @python3 scripts/registry.py list

# Look into the registry, decide what it serves, keep it in order: just registry --help
[group('registry')]
[no-exit-message]
registry *args:
    @python3 scripts/registry.py "$@"

# Sign the registry's records with a new key; the old one stays in .env, to check old records by
[group('registry')]
[no-exit-message]
rotate-key:
    @python3 scripts/rotate_key.py

# Build the images, all or those named: just build-images trainer
[group('build')]
[no-exit-message]
build-images *names:
    @scripts/build-images.sh "$@"

# Begin a model of yours: its file, its test, its gate: just new-model churn [--target churned] [--kind binary]
[group('project')]
[no-exit-message]
new-model *args:
    @python3 scripts/new_model.py "$@"

# The tests of your models, project/tests
[group('project')]
test-project *args: setup
    @scripts/test-project.sh "$@"

# Look whether images, locks, schedule and gate fit the project as it stands, as after an upgrade
[group('project')]
[no-exit-message]
doctor:
    @scripts/doctor.sh

# Resolve the locks anew: just lock [--upgrade | --upgrade-package NAME]
[group('build')]
[no-exit-message]
lock *options:
    @scripts/lock.sh "$@"

# Remove containers, volumes, images and .env, after asking (or with --yes); never models/ or shared/
[group('build')]
[no-exit-message]
clean *options:
    @scripts/clean.sh "$@"

# Lint, formatting, types, shell, justfile and compose; changes nothing
[group('develop')]
check:
    @scripts/check.sh

# Fix what can be fixed: lint, formatting, this file
[group('develop')]
fix: setup
    .venv/bin/ruff check --fix
    .venv/bin/ruff format
    just --unstable --fmt

# Every test but the long suites of faults and hostile steps, with all it needs: images, containers, whole stacks
[group('develop')]
test *args: setup build-images chromium
    scripts/with-box.sh .venv/bin/pytest --ignore tests/faults --ignore tests/hostile --ignore tests/hosts "$@"
    scripts/test-project.sh

# The fault suite: kills, full disks, lost engines on real stacks; ends in a table
[group('develop')]
test-faults *args: setup build-images
    scripts/with-box.sh .venv/bin/pytest tests/faults -m 'not overload and not deferred' "$@"

# All faults while a step is deferred, on real stacks; half an hour
[group('develop')]
test-deferred *args: setup build-images
    scripts/with-box.sh .venv/bin/pytest tests/faults/test_deferred*.py "$@"

# Hosts that die, are cut off, freeze and come back, three of them with an engine and a network each; half an hour
[group('develop')]
test-hosts *args: setup build-images
    scripts/with-box.sh .venv/bin/pytest tests/hosts "$@"

# Steps that attack whatever they can reach, on a real stack
[group('develop')]
test-hostile *args: setup build-images
    scripts/with-box.sh .venv/bin/pytest tests/hostile "$@"

# More steps than the machine has room for, on a real stack; takes a while, and the whole machine
[group('develop')]
test-overload *args: setup build-images
    scripts/with-box.sh .venv/bin/pytest tests/faults -m overload "$@"

# Write docs/registry-cli.md anew from what the commands say
[group('develop')]
docs: setup
    @.venv/bin/python scripts/registry_reference.py

# The tests that need no engine, for the inner loop
[group('develop')]
test-fast *args: setup
    .venv/bin/pytest -m 'not container and not system and not fault' "$@"

# What Airflow adds to a training, beside the bare docker runs: prints the ratio
[group('develop')]
benchmark: setup build-images
    @PYTHONPATH=.:scripts .venv/bin/python benchmarks/train_dag.py

# A hundred trainings at once, beside two loops of sealed docker runs: prints the ratio of their times
[group('develop')]
benchmark-hundred *args: setup build-images
    @PYTHONPATH=.:scripts .venv/bin/python benchmarks/hundred_trainings.py "$@"

# What the stack needs while it waits: prints MiB and processor time by service
[group('develop')]
benchmark-idle: setup build-images
    @PYTHONPATH=.:scripts .venv/bin/python benchmarks/idle_stack.py

# What registry verify costs on 10,000 models and a million inferences: prints ratios of time and memory
[group('develop')]
benchmark-verify: setup
    @PYTHONPATH=. .venv/bin/python benchmarks/verify_registry.py

# What an append to a journal takes beside a bare write and fsync: prints the ratio, in an empty log and a long one
[group('develop')]
benchmark-append: setup
    @PYTHONPATH=. .venv/bin/python benchmarks/append_record.py

# What threads that wait cost in the seal: three estimators, one thread and two, active and passive
[group('develop')]
benchmark-threads: build-images
    @python3 benchmarks/threads.py

# What a table's size costs, steps beside a plain script: just benchmark-data [csv] [examples] [MILLIONS OF ROWS...]
[group('develop')]
benchmark-data *args: setup (build-images "trainer" "inference")
    @PYTHONPATH=.:scripts .venv/bin/python -m benchmarks.table_sizes "$@"

# What memory the registrar needs at a million records, beside none: prints MiB and times
[group('develop')]
benchmark-registrar: setup
    @PYTHONPATH=. .venv/bin/python benchmarks/registrar_memory.py

# What a step that waits costs, 100 deferred (or as many as said) beside ten that are not: prints MiB by service
[group('develop')]
benchmark-waiting *args: setup build-images
    @PYTHONPATH=.:scripts .venv/bin/python benchmarks/waiting.py "$@"

# What further hosts cost and bring, two of them beside this one: prints MiB, seconds, and a ratio
[group('develop')]
benchmark-hosts: setup build-images
    @PYTHONPATH=.:scripts .venv/bin/python benchmarks/several_hosts.py

# What the Models page takes at a million inferences, beside a thousand: prints the ratios
[group('develop')]
benchmark-page: setup
    @.venv/bin/python benchmarks/models_page_requests.py

# The browser that drives the Models page in tests
[private]
chromium:
    @scripts/chromium.sh >/dev/null

# Make .venv, if its lock has changed
[private]
setup:
    @scripts/setup.sh
