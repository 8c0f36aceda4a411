"""Many decisions at once: ``decide_at_once.py MODELS ACT[:MODEL]...``, one process each; prints how they ended.

ACT is promote, rollback, revoke or publish. All begin together: a promotion once each has seen what is served and
checked its model, the others right before they begin.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import joblib

from bulkhead import environments
from bulkhead.errors import Refused
from bulkhead.registry import decisions
from bulkhead.registry.decisions import DecisionContext
from bulkhead.registry.lineage import Lineage
from bulkhead.registry.store import Registry

if TYPE_CHECKING:
    from collections.abc import Callable


def decide(registry: Registry, act: str, name: str, wait: Callable[[], dict[str, str]]) -> str:
    """How ``act`` ended: ``done``, or the refusal's name and sentence."""
    decision = DecisionContext("somebody", "at once")
    try:
        match act:
            case "promote":
                decisions.promote(registry, name, decision, lambda *_: wait())
            case "rollback":
                wait()
                decisions.roll_back(registry, name, decision)
            case "revoke":
                wait()
                decisions.revoke(registry, name, decision)
            case "publish":
                wait()
                registry.publish({"new": os.getpid()}, "prd", Lineage())
    except Refused as error:
        return f"{type(error).__name__}: {error}"
    return "done"


def main() -> int:
    """Fork, wait until all are ready, start them, collect."""
    # The path that comes with the project, whatever environments somebody has put between the two.
    path = (replace(one, promotes_from="dev") if one.name == "prd" else one for one in environments.ENVIRONMENTS)
    environments.ENVIRONMENTS = tuple(path)
    registry, acts = Registry(Path(sys.argv[1])), sys.argv[2:]
    joblib.hash(0)
    (ready, arrive), (start, go), (read, write) = os.pipe(), os.pipe(), os.pipe()

    def wait() -> dict[str, str]:
        os.write(arrive, b".")
        os.read(start, 1)  # ends when the parent closes its end
        return {}

    children = []
    for act in acts:
        child = os.fork()
        if child == 0:
            os.close(go)
            os.write(write, (decide(registry, *act.partition(":")[::2], wait) + "\n").encode())
            os._exit(0)
        children.append(child)
    for _ in acts:
        os.read(ready, 1)
    os.close(go)
    os.close(write)
    for child in children:
        os.waitpid(child, 0)
    with os.fdopen(read) as ends:
        sys.stdout.write(ends.read())
    return 0


if __name__ == "__main__":
    sys.exit(main())
