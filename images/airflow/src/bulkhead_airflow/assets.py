"""The assets that published models update."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Asset

from bulkhead import environments, schedule
from bulkhead.errors import Refused
from bulkhead.model_name import DEFAULT_NAME
from bulkhead.queries import references
from bulkhead.registry.store import Registry
from bulkhead_airflow import defaults

if TYPE_CHECKING:
    from bulkhead.identity import Environment


def name_of(model: str) -> str:
    """Of which model the one called ``model`` is a version; of ``model``, if the registry does not know it."""
    registry = Registry(defaults.models_folder())
    try:
        return registry.find(references.filename_of(registry, model.strip())).name
    except (Refused, OSError):
        return DEFAULT_NAME


def environment_of(filename: str) -> str:
    """Which environment published the file called ``filename``; the last one, if the registry does not know it."""
    try:
        return Registry(defaults.models_folder()).find(filename.strip()).environment
    except (Refused, OSError):
        return environments.LAST


def models_of(environment: Environment, name: str = DEFAULT_NAME) -> Asset:
    """The asset that a published version of the model ``name`` updates in ``environment``."""
    place = environment if name == DEFAULT_NAME else f"{environment}/{name}"
    return Asset(name=schedule.asset_name(environment, name), uri=f"bulkhead://models/{place}")
