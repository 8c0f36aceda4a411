# Every action a person takes. Bare `just` lists them; CI calls these and nothing else.

set positional-arguments

# List the recipes
[private]
default:
    @just --list --unsorted

# Start everything, building what is missing; print address and login
[group('run')]
[no-exit-message]
up *options:
    @python3 scripts/recipe.py up "$@"

# Train and predict in prd: the diabetes table, or one of yours
[group('run')]
[no-exit-message]
demo *args:
    @python3 scripts/demo.py "$@"

# Print address and login; open them where there is a display
[group('run')]
[no-exit-message]
open:
    @scripts/open.sh

# Say whether all is well; exit code 1 where it is not
[group('run')]
[no-exit-message]
status *options:
    @python3 scripts/status.py "$@"

# Follow the logs of all services, or of those named
[group('run')]
[no-exit-message]
logs *services:
    @python3 scripts/recipe.py logs "$@"

# Start services anew, by .env as it is now: all, or those named
[group('run')]
[no-exit-message]
restart *args:
    @python3 scripts/recipe.py restart "$@"

# Stop everything but running steps; models, runs and history stay
[group('run')]
[no-exit-message]
down:
    @scripts/down.sh

# Run one step by hand, sealed as Airflow runs it
[group('steps')]
[no-exit-message]
step *args:
    @python3 scripts/step.py "$@"

# A shell in an image, sealed as a step is, or in a service
[group('steps')]
[no-exit-message]
shell *args:
    @python3 scripts/shell.py "$@"

# Remove the containers of failed steps after a day
[group('steps')]
reap:
    @python3 scripts/reap.py

# Show the registered models
[group('registry')]
[no-exit-message]
models *options:
    @python3 scripts/registry.py list "$@"

# Look into the registry, decide what it serves, keep it in order
[group('registry')]
[no-exit-message]
registry *args:
    @python3 scripts/registry.py "$@"

# Sign records with a new key; old ones are checked by the old key
[group('registry')]
[no-exit-message]
rotate-key:
    @python3 scripts/rotate_key.py

# Begin a model of yours: its file, its test, its gate
[group('project')]
[no-exit-message]
new-model *args:
    @python3 scripts/new_model.py "$@"

# Run the tests of your models, project/tests
[group('project')]
test-project *args: setup
    @scripts/test-project.sh "$@"

# Look whether images, locks, schedule and gate fit the project
[group('project')]
[no-exit-message]
doctor:
    @scripts/doctor.sh

# Build the images, all or those named
[group('build')]
[no-exit-message]
build-images *names:
    @python3 scripts/recipe.py build-images "$@"

# Resolve the locks anew; versions stay unless told otherwise
[group('build')]
[no-exit-message]
lock *options:
    @python3 scripts/recipe.py lock "$@"

# Remove containers, volumes, images, .env; never models/ or shared/
[group('build')]
[no-exit-message]
clean *options:
    @python3 scripts/recipe.py clean "$@"

# Show the hosts on which steps run, and how each is
[group('hosts')]
[no-exit-message]
hosts *options:
    @python3 scripts/manage_hosts.py list "$@"

# Add a host, and print what to run on it
[group('hosts')]
[no-exit-message]
host-add *args:
    @python3 scripts/manage_hosts.py add "$@"

# Have a host take no new work; what runs there ends there
[group('hosts')]
[no-exit-message]
host-drain *args:
    @python3 scripts/manage_hosts.py drain "$@"

# Forget a host; its secret is none any more
[group('hosts')]
[no-exit-message]
host-remove *args:
    @python3 scripts/manage_hosts.py remove "$@"

# Say that a host is down for certain: its steps run elsewhere now
[group('hosts')]
[no-exit-message]
host-release *args:
    @python3 scripts/manage_hosts.py release "$@"

# On another host: join it to the first one, by the code from there
[group('hosts')]
[no-exit-message]
host-join *code:
    @python3 scripts/recipe.py host-join "$@"

# On another host: stop its services. Drain it first
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
    @python3 scripts/recipe.py host-logs "$@"

# Lint, formatting, types, shell, justfile, compose; changes nothing
[group('develop')]
check:
    @scripts/check.sh

# Fix what can be fixed: lint, formatting, this file
[group('develop')]
fix: setup
    .venv/bin/ruff check --fix
    .venv/bin/ruff format
    just --unstable --fmt

# Write docs/registry-cli.md anew from what the commands say
[group('develop')]
docs: setup
    @.venv/bin/python scripts/registry_reference.py

# The tests that need neither an engine nor a browser, for the inner loop
[group('develop')]
test-fast *args: setup
    .venv/bin/pytest -m 'not browser and not container and not system and not fault' "$@"

# Every test but the long suites below, with all it needs
[group('develop')]
test *args: setup build-images chromium
    scripts/with-box.sh .venv/bin/pytest --ignore tests/faults --ignore tests/hostile --ignore tests/hosts "$@"
    scripts/test-project.sh

# Kills, full disks, lost engines on real stacks; ends in a table
[group('develop')]
test-faults *args: setup build-images
    scripts/with-box.sh .venv/bin/pytest tests/faults -m 'not overload and not deferred' "$@"

# All faults while a step is deferred; half an hour
[group('develop')]
test-deferred *args: setup build-images
    scripts/with-box.sh .venv/bin/pytest tests/faults/test_deferred*.py "$@"

# Hosts that die, are cut off, freeze, come back; half an hour
[group('develop')]
test-hosts *args: setup build-images
    scripts/with-box.sh .venv/bin/pytest tests/hosts "$@"

# Steps that attack whatever they can reach, on a real stack
[group('develop')]
test-hostile *args: setup build-images
    scripts/with-box.sh .venv/bin/pytest tests/hostile "$@"

# More steps than the machine has room for; takes the whole machine
[group('develop')]
test-overload *args: setup build-images
    scripts/with-box.sh .venv/bin/pytest tests/faults -m overload "$@"

# What Airflow adds to a training, beside bare docker runs
[group('measure')]
benchmark: setup build-images
    @PYTHONPATH=.:scripts .venv/bin/python benchmarks/train_dag.py

# A hundred trainings at once, beside two loops of docker runs
[group('measure')]
benchmark-hundred *args: setup build-images
    @PYTHONPATH=.:scripts .venv/bin/python benchmarks/hundred_trainings.py "$@"

# What the stack needs while it waits, by service
[group('measure')]
benchmark-idle: setup build-images
    @PYTHONPATH=.:scripts .venv/bin/python benchmarks/idle_stack.py

# What registry verify costs at a million inferences
[group('measure')]
benchmark-verify: setup
    @PYTHONPATH=. .venv/bin/python benchmarks/verify_registry.py

# What an append to a journal takes, beside a bare write and fsync
[group('measure')]
benchmark-append: setup
    @PYTHONPATH=. .venv/bin/python benchmarks/append_record.py

# What threads that wait cost in the seal
[group('measure')]
benchmark-threads: build-images
    @python3 benchmarks/threads.py

# What a table's size costs: [csv] [examples] [MILLIONS OF ROWS...]
[group('measure')]
benchmark-data *args: setup (build-images "trainer" "inference")
    @PYTHONPATH=.:scripts .venv/bin/python -m benchmarks.table_sizes "$@"

# What the steps take beside those of another tag's images
[group('measure')]
benchmark-against *args: setup (build-images "trainer" "inference")
    @PYTHONPATH=.:scripts .venv/bin/python -m benchmarks.two_versions "$@"

# What memory the registrar needs at a million records
[group('measure')]
benchmark-registrar: setup
    @PYTHONPATH=. .venv/bin/python benchmarks/registrar_memory.py

# What a step that waits costs, 100 deferred or as many as said
[group('measure')]
benchmark-waiting *args: setup build-images
    @PYTHONPATH=.:scripts .venv/bin/python benchmarks/waiting.py "$@"

# What further hosts cost and bring
[group('measure')]
benchmark-hosts: setup build-images
    @PYTHONPATH=.:scripts .venv/bin/python benchmarks/several_hosts.py

# What the Models page takes at a million inferences
[group('measure')]
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
