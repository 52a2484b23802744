"""Each thin class of the vendor's resources registers with the engine exactly what the vendor's own class does."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import typing
from typing import Any

import pulumi
import pulumi.runtime
import pytest
from google.protobuf import json_format
from pulumi.runtime import mocks

from agent_deploy.resources import databricks
from agent_deploy.resources.databricks import RESOURCES, AccessControl, VendorResource

pytestmark = pytest.mark.processes

BY_NAME = {resource.__name__: resource for resource in RESOURCES}
NESTED = {"access_controls": AccessControl}


class _Nothing(pulumi.runtime.Mocks):
    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        return f"{args.name}-id", args.inputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        return {}, []


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The registrations that reach the engine, as its protocol has them."""
    seen: list[Any] = []
    original = mocks.MockMonitor.RegisterResource

    def record(self: mocks.MockMonitor, request: Any) -> Any:
        if request.custom:
            seen.append(request)
        return original(self, request)

    monkeypatch.setattr(mocks.MockMonitor, "RegisterResource", record)
    # Other tests leave a loop that is closed, or none.
    asyncio.set_event_loop(asyncio.new_event_loop())
    pulumi.runtime.set_mocks(_Nothing(), preview=False)
    return seen


def vendor_class(thin: type[VendorResource]) -> type[pulumi.CustomResource]:
    import pulumi_databricks

    found: type[pulumi.CustomResource] = getattr(pulumi_databricks, thin.__name__)
    return found


def arguments(thin: type[VendorResource]) -> list[str]:
    parameters = inspect.signature(thin.__init__).parameters.values()
    return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY and p.name != "opts"]


def wire_names(vendor: type) -> dict[str, str]:
    """Snake-case attribute → name on the wire, of a class that the vendor's SDK generated."""
    properties = inspect.getmembers(vendor, lambda member: isinstance(member, property))
    return {name: member.fget._pulumi_name for name, member in properties if hasattr(member.fget, "_pulumi_name")}


def register(build: typing.Callable[[], pulumi.Resource], requests: list[Any]) -> dict[str, Any]:
    @pulumi.runtime.test
    def run() -> Any:
        return build().urn

    requests.clear()
    run()
    (request,) = requests
    return {
        "type": request.type,
        "inputs": json_format.MessageToDict(request.object),
        "version": request.version,
        "secret outputs": sorted(request.additionalSecretOutputs),
        "download": request.pluginDownloadURL,
    }


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_registers_what_the_vendors_class_registers(name: str, requests: list[Any]) -> None:
    thin, vendor = BY_NAME[name], vendor_class(BY_NAME[name])
    plain: dict[str, Any] = {argument: f"value of {argument}" for argument in arguments(thin) if argument not in NESTED}
    ours, theirs = dict(plain), dict(plain)
    for argument in set(arguments(thin)) & set(NESTED):
        ours[argument] = [{"permissionLevel": "CAN_QUERY", "servicePrincipalName": "s", "groupName": "g"}]
        theirs[argument] = [{"permission_level": "CAN_QUERY", "service_principal_name": "s", "group_name": "g"}]

    thinly = register(lambda: thin("it", **ours), requests)
    really = register(lambda: vendor("it", **theirs), requests)

    assert thinly == really
    assert len(thinly["inputs"]) == len(arguments(thin))


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_attributes_are_outputs_of_the_vendors_class(name: str) -> None:
    thin = BY_NAME[name]
    wire = wire_names(vendor_class(thin))
    attributes = [key for key, member in vars(thin).items() if isinstance(member, property)]

    class Reader:
        """Stands for the resource: says which property an attribute reads."""

    for attribute in attributes:
        reader = Reader()
        reader.__dict__ = {wire[attribute]: "read"}
        assert vars(thin)[attribute].fget(reader) == "read", attribute


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_requires_what_the_vendors_class_requires(name: str) -> None:
    thin = BY_NAME[name]
    import pulumi_databricks

    of_vendor = inspect.signature(getattr(pulumi_databricks, f"{name}Args").__init__).parameters.values()
    vendor = {p.name for p in of_vendor if p.kind is p.KEYWORD_ONLY and p.default is p.empty}
    ours = {p.name for p in inspect.signature(thin.__init__).parameters.values() if p.default is p.empty}
    # The vendor's model takes none of its parts, and then fails in the workspace.
    assert ours - {"self", "resource_name"} - vendor <= {"catalog_name", "schema_name"}
    assert vendor <= ours


def test_nested_names_are_the_vendors() -> None:
    import pulumi_databricks

    assert set(AccessControl.__annotations__) == set(
        wire_names(pulumi_databricks.PermissionsAccessControlArgs).values()
    )


def test_outputs_are_read_by_their_python_names() -> None:
    pulumi.runtime.set_mocks(_Nothing(), preview=False)
    seen: list[str] = []

    @pulumi.runtime.test
    def run() -> Any:
        principal = databricks.ServicePrincipal("it", display_name="agent")
        return principal.display_name.apply(seen.append)

    run()
    assert seen == ["agent"]


def test_a_version_that_the_user_gives_wins(requests: list[Any]) -> None:
    opts = pulumi.ResourceOptions(version="1.2.3")
    registered = register(lambda: databricks.SecretScope("it", name="agent", opts=opts), requests)
    assert registered["version"] == "1.2.3"


def test_the_vendors_sdk_is_not_imported() -> None:
    program = "import sys, agent_deploy.resources.databricks as d; d.vendor_version(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "pulumi" in loaded
    assert "pulumi_databricks" not in loaded


@pytest.mark.parametrize(
    ("installed", "wanted"), [("1.118.0", "1.118.0"), ("1.120.0a7", "1.120.0-alpha.7"), ("1.120.0rc1", "1.120.0-rc.1")]
)
def test_the_version_is_the_engines_spelling(monkeypatch: pytest.MonkeyPatch, installed: str, wanted: str) -> None:
    monkeypatch.setattr(databricks, "version", lambda _: installed)
    databricks.vendor_version.cache_clear()
    try:
        assert databricks.vendor_version() == wanted
    finally:
        databricks.vendor_version.cache_clear()
