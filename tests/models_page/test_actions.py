"""What a page offers to do: to those who may, and where it can be done."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.support.project import publish
from tests.support.registry_project import DECIDED

from bulkhead.registry import decisions

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from starlette.testclient import TestClient
    from tests.models_page.conftest import Somebody
    from tests.support.registry_project import RegistryProject

    from bulkhead.registry.store import Registry

    Visit = Callable[[Registry], AbstractContextManager[TestClient]]


def test_actions_are_shown_to_those_who_may_trigger_their_dag(
    visit: Visit, registry_with_two_models: Registry, somebody: Somebody
) -> None:
    registry = registry_with_two_models
    publish(registry, "prd", {"weights": [3.0]})
    filename = registry.latest("dev").model_filename
    forms = {"/": "rollback_model_dag", f"/models/{filename}": "revoke_model_dag"}
    forms[f"/promote/prd/{filename}"] = "promote_model_dag"
    with visit(registry) as client:
        assert f'href="/promote/prd/{filename}"' in client.get(f"/models/{filename}").text
        for path, dag in forms.items():
            somebody.triggers = {*forms.values()}
            text = client.get(path).text
            assert text.count(f'data-trigger="{dag}"') == text.count("data-trigger") == 1
            somebody.triggers -= {dag}
            text = client.get(path).text
            assert "data-trigger" not in text
            assert f"permission to trigger {dag}" in text


def test_a_revocation_asks_for_the_name_of_what_it_revokes(visit: Visit, registry_with_two_models: Registry) -> None:
    """A revocation is confirmed by typing what the file is called; the DAG is given the same words."""
    with visit(registry_with_two_models) as client:
        text = client.get(f"/models/{registry_with_two_models.latest('dev').model_filename}").text
    (form,) = re.findall(r'<form data-trigger="revoke_model_dag">.*?</form>', text, re.DOTALL)
    assert '<input type="hidden" name="model" value="model #2">' in form
    assert 'name="confirm" required pattern="model #2"' in form
    assert 'name="reason" required' in form
    assert "nothing takes that back" in form
    assert "dev serves it now" in form


def test_a_model_that_cannot_be_promoted_any_more_is_not_offered_for_it(
    visit: Visit, clean_project: RegistryProject
) -> None:
    served, waiting, revoked = (clean_project.publish("dev") for _ in range(3))
    clean_project.append(clean_project.promoted(served, replaces=clean_project.registry.latest("prd").model_filename))
    decisions.revoke(clean_project.registry, revoked.model_filename, DECIDED)
    with visit(clean_project.registry) as client:
        offered = [
            "Promote to prd" in client.get(f"/models/{one.model_filename}").text for one in (served, waiting, revoked)
        ]
    assert offered == [False, True, False]
