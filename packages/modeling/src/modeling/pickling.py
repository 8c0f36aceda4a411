"""A model's file: joblib's format, with the project's own code in it, so that it loads where the project is not.

What comes from a package of the lock is stored by its name, as ever. Functions and classes of ``project/``, and of this
package, are stored by value (by cloudpickle, which joblib brings along).
"""

from __future__ import annotations

import functools
import io
from types import FunctionType
from typing import Any

import cloudpickle
from joblib.numpy_pickle import NumpyPickler

from bulkhead import project_models

_BY_VALUE = (project_models.PACKAGE, "modeling")


def dumped(model: Any) -> tuple[bytes, set[str]]:
    """The bytes of ``model``'s file, and the names of the modules that it names; what our code imports comes on top.

    Raises:
        Exception: whatever an object of the model raises that cannot be stored.
    """
    buffer = io.BytesIO()
    pickler = _Pickler(buffer)
    with _by_value():
        pickler.dump(model)
    return buffer.getvalue(), pickler.modules


class _Pickler(NumpyPickler):  # type: ignore[misc]  # joblib has no types
    """Joblib's own, which asks for each function and class whether it is the project's."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.modules: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        """How ``obj`` is stored, where that is not as ever."""
        if not isinstance(obj, type | FunctionType | _Cached):
            return NotImplemented
        module = str(getattr(obj, "__module__", None) or "")
        if not _is_ours(module):
            self.modules.add(module)
            return NotImplemented
        buffer = io.BytesIO()
        _CodePickler(buffer).dump(obj)
        return cloudpickle.loads, (buffer.getvalue(),)


_Cached = type(functools.lru_cache(lambda: None))


class _CodePickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """Cloudpickle's, which stores what was decorated with a cache by name alone."""

    def reducer_override(self, obj: Any) -> Any:
        """How ``obj`` is stored: a cache anew, empty, around its function."""
        if isinstance(obj, _Cached) and _is_ours(str(obj.__module__)):
            return _cached, (obj.__wrapped__, *obj.cache_parameters().values())
        return super().reducer_override(obj)


def _cached(function: Any, maxsize: int | None, typed: bool) -> Any:  # noqa: FBT001  # as cache_parameters has them
    return functools.lru_cache(maxsize, typed)(function)


class _by_value:  # noqa: N801  # a context, used as one
    """While it lasts, cloudpickle stores what our modules define, and not their names."""

    def __enter__(self) -> None:
        import importlib

        self._modules = [importlib.import_module(name) for name in _BY_VALUE]
        for module in self._modules:
            cloudpickle.register_pickle_by_value(module)

    def __exit__(self, *_error: object) -> None:
        for module in self._modules:
            cloudpickle.unregister_pickle_by_value(module)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in _BY_VALUE
