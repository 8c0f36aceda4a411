"""A repair or gc that kills itself: ``maintain_and_die.py PROJECT repair|gc STAGE``."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.programs.publish_and_die import die, dies_after, dies_before, half
from tests.support.registry_project import DECIDED

from bulkhead.maintenance import repair, tree_removal
from bulkhead.maintenance.gc import GarbageCollector, RetentionRule
from bulkhead.maintenance.repair import Repair
from bulkhead.maintenance.verify import journal_lines, verify
from bulkhead.registry import appender
from bulkhead.registry.store import Registry


def dies_half_way(_real: object) -> object:
    """In place of the removal of a folder: one file of it, then death."""

    def one_file(shared: Path, relative: str, _called: str) -> None:
        next(path for path in sorted((shared / relative).rglob("*")) if path.is_file()).unlink()
        die()

    return one_file


REPAIR: dict[str, tuple[Any, str, Any]] = {
    "before the quarantine's folder": (Path, "mkdir", dies_before),
    "before the copy of a line has its name": (os, "link", dies_before),
    "before the record": (appender.Appender, "append", dies_before),
    "in the middle of the record": (appender.Appender, "_write", lambda _: half),
    "after the record": (appender.Appender, "append", dies_after),
    "after the copy of a line has its name": (os, "link", dies_after),
    "before the move of a file": (Path, "rename", dies_before),
    "after the move of a file": (Path, "rename", dies_after),
    "before the first sync of a folder": (repair, "sync_folder", dies_before),
}

GC: dict[str, tuple[Any, str, Any]] = {
    "before the record": (appender.Appender, "append", dies_before),
    "in the middle of the record": (appender.Appender, "_write", lambda _: half),
    "after the record": (appender.Appender, "append", dies_after),
    "after the first model": (Path, "unlink", dies_after),
    "before the first run folder": (tree_removal, "remove", dies_before),
    "in the middle of a run folder": (tree_removal, "remove", dies_half_way),
    "after the first run folder": (tree_removal, "remove", dies_after),
}


def main() -> None:
    """Do it, up to the stage."""
    project, what, stage = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    registry = Registry(project / "models")
    sys.argv[1] = str(registry.folder)  # where `half` looks for the log
    place, name, makes = (REPAIR if what == "repair" else GC)[stage]
    deadly = makes(getattr(place, name))
    if what == "repair":
        journal_lines.PATIENCE_SECONDS = 0.05  # no writer is at work whom it could wait for
        fixer = Repair(registry, DECIDED)
        found = [f for f in verify(registry, project / "shared") if f.mended_by == "repair"]
        setattr(place, name, deadly)
        for one in found:
            fixer.fix(one)
    else:
        collector = GarbageCollector(registry, project / "shared", RetentionRule(1, timedelta(days=30)))
        setattr(place, name, deadly)
        list(collector.collect(DECIDED))


if __name__ == "__main__":
    main()
