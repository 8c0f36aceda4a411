"""The page and the command line say the same of each model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.generated import anything, write

from bulkhead.index import Index
from bulkhead.queries.status import version_statuses
from bulkhead.registry.serving import RegistryState

if TYPE_CHECKING:
    import pytest


@given(written=st.lists(anything, max_size=25), files=st.sets(st.sampled_from(["model_0.joblib", "model_2.joblib"])))
def test_the_states_of_the_page_are_those_of_the_list(
    tmp_path_factory: pytest.TempPathFactory, written: list[Any], files: set[str]
) -> None:
    from models_page.readers import Readers
    from models_page.registry_view import RegistryView
    from models_page.selection import ModelSelection

    folder = tmp_path_factory.mktemp("models")
    write(folder / "log.txt", written)
    for name in files:
        (folder / name).touch()
    index = Index(folder, folder)
    index.wait()
    readers = Readers(index)
    readers.look()
    listed = RegistryView(readers).models(100, ModelSelection()).listed
    expected = version_statuses(RegistryState(written), folder)
    assert [(one.record, one.states) for one in listed] == [(one.record, one.states) for one in reversed(expected)]
