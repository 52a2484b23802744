"""Children that the vendor's plugin would delete before it makes the new ones are declared so that it does not."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from agent_deploy.resources.databricks import VendorResource
from agent_deploy.stand_in.package import RESOURCES
from tests.components.mocked import JOB, PIPELINE, Workspace, deploy

EVERYTHING: dict[str, Any] = {
    "model_version": "1",
    "auth": "SERVICE_PRINCIPAL",
    "inference_tables": {"retention_days": 30, "warehouse_id": "w"},
    "permissions": [{"group_name": "users", "level": "CAN_QUERY"}],
}


def test_whatever_the_plugin_names_by_itself_is_made_new_first(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, str, bool | None]] = []
    init = VendorResource.__init__

    def noted(self: VendorResource, name: str, inputs: Any, opts: pulumi.ResourceOptions | None) -> None:
        made.append((self.token, name, opts.delete_before_replace if opts else None))
        init(self, name, inputs, opts)

    monkeypatch.setattr(VendorResource, "__init__", noted)
    deploy(EVERYTHING)
    autonamed = {token for token, resource in RESOURCES.items() if resource.autonamed}
    by_the_vendor = [(token, name) for token, name, _ in made if token in autonamed]
    assert {token for token, _ in by_the_vendor} == {PIPELINE, JOB}
    assert by_the_vendor == [(token, name) for token, name, first in made if token in autonamed and first is False]
