"""Whether a host may take work: what it says of itself, beside the first host. No database here, and no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkhead.hosts_protocol import CLOCK_SECONDS, STEP_IMAGES

if TYPE_CHECKING:
    from bulkhead.hosts_protocol import HostReport, Probe

_SHORT = 12
_FOLDERS = {"dags": "dags/", "project": "project/"}


def problems(report: HostReport, first: HostReport | None, *, now: float, is_first: bool) -> list[str]:
    """What keeps the host from new work, a sentence each.

    Args:
        report: the host's.
        first: the first host's own; None: it has not reported.
        now: when the report came, by the registrar's clock.
        is_first: whether it is the first host itself.
    """
    found = list(report.trouble)
    if report.engine is None:
        found.append(
            "its engine or launcher does not answer. Start Docker there, and look at 'just host-logs launcher'."
        )
    missing = [name for name in STEP_IMAGES if name not in report.images]
    if report.engine is not None and missing:
        build = (
            "Run 'just build-images'." if is_first else "Load it there from the first host (docker save | docker load)."
        )
        found.append(f"no image {' and no image '.join(f'bulkhead/{name}' for name in missing)}. {build}")
    if is_first:
        return found
    ahead = report.time - now
    if abs(ahead) > CLOCK_SECONDS:
        how = "ahead of" if ahead > 0 else "behind"
        found.append(f"its clock is {abs(ahead):.1f} s {how} the first host's. Set it (chrony, systemd-timesyncd).")
    if first is None:
        return [*found, "the first host's own worker has not reported yet, so nothing can be compared with it."]
    if report.commit != first.commit:
        found.append(
            f"its image bulkhead/airflow is of commit {report.commit[:_SHORT]}, and the first host's of"
            f" {first.commit[:_SHORT]}. Load the first host's images there, and check out the same commit."
        )
    for name in STEP_IMAGES:
        if name in report.images and report.images[name] != first.images.get(name):
            found.append(  # noqa: PERF401  # a sentence of this length is no item of a comprehension
                f"its image bulkhead/{name} is another one than the first host's."
                f" Load it there from the first host (docker save bulkhead/{name} | docker load)."
            )
    return found + [
        f"its {folder} is another one than the first host's. Copy the first host's there."
        for name, folder in _FOLDERS.items()
        if report.code.get(name) != first.code.get(name)
    ]


def _missing(report: HostReport, *, is_first: bool) -> list[str]:
    if report.engine is None:
        where = "'just logs launcher'" if is_first else "'just host-logs launcher' there"
        return [f"its engine or launcher does not answer. Start Docker, and look at {where}."]
    missing = [f"bulkhead/{name}" for name in STEP_IMAGES if name not in report.images]
    how = "Run 'just build-images'." if is_first else "Load it there from the first host (docker save | docker load)."
    return [f"it has no image {' and no image '.join(missing)}. {how}"] if missing else []


def folder_problems(report: HostReport, asked: Probe, shared: str | None) -> list[str]:
    """What is wrong with its folders: they must be those of the registrar, at once and with its locks.

    Args:
        report: with what the host found.
        asked: what it was told to look for.
        shared: what the registrar reads of what the host's launcher wrote; None: nothing.
    """
    found = []
    probed = report.probed
    if probed is None or probed.models != asked.models:
        what = (
            "shows nothing"
            if probed is None or probed.models is None
            else "shows something else, or what was there before"
        )
        found.append(
            f"its models/ is not the first host's: it {what} where the registrar has just written."
            " Mount the first host's folder there, with no cache."
        )
    elif not probed.is_locked:
        found.append(
            "a lock in models/ that the registrar holds is not seen there. Mount it with locks that hosts share."
        )
    if shared != asked.shared:
        found.append(
            "its shared/ is not the first host's: what its launcher wrote there is not seen here at once."
            " Mount the first host's folder there, with no cache, writable for the same user id."
        )
    return found
