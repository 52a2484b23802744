"""The policy pack's answers to the engine: what it says of itself, how it is configured, what it sends back."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import analyzer_pb2

from agent_deploy.policies import access, endpoints, tables
from agent_deploy.policies.catalogue import POLICIES
from agent_deploy.policies.pack.analyzer import Analyzer
from agent_deploy.provider.plugin.signatures import SECRET, SIGNATURE, UNKNOWN_TEXT
from tests.unit.policy_examples import endpoint, urn


class Aborted(Exception):
    """What `abort` raises."""


class Call:
    """The context of a call."""

    async def abort(self, code: grpc.StatusCode, text: str) -> None:
        raise Aborted(code, text)


def ask(analyzer: Analyzer, method: str, request: Any = None) -> Any:
    return asyncio.run(getattr(analyzer, method)(request or empty_pb2.Empty(), Call()))


def struct(values: Any) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(values)
    return made


def configure(analyzer: Analyzer, id: str, level: int, **settings: Any) -> None:
    config = analyzer_pb2.PolicyConfig(enforcementLevel=level, properties=struct(settings))  # type: ignore[arg-type]
    ask(analyzer, "Configure", analyzer_pb2.ConfigureAnalyzerRequest(policyConfig={id: config}))


def request(type_: str, **properties: Any) -> Any:
    return analyzer_pb2.AnalyzeRequest(type=type_, name="qa", urn=urn(type_, "qa"), properties=struct(properties))


def test_it_says_what_it_judges() -> None:
    info = ask(Analyzer("1.2.3"), "GetAnalyzerInfo")
    assert (info.name, info.version, info.supportsConfig) == ("agent-deploy", "1.2.3", True)
    assert [policy.name for policy in info.policies] == [policy.id for policy in POLICIES]
    by_id = {policy.name: policy for policy in info.policies}
    assert by_id["AGD001"].enforcementLevel == analyzer_pb2.MANDATORY
    assert list(by_id["AGD001"].configSchema.properties["stacks"]["default"]) == ["prod*"]
    assert by_id["AGD001"].policy_type == analyzer_pb2.POLICY_TYPE_RESOURCE
    assert by_id["AGD014"].policy_type == analyzer_pb2.POLICY_TYPE_STACK


def test_a_finding_names_policy_remedy_and_resource() -> None:
    [bad] = endpoint(aiGateway={"inferenceTableConfig": {"enabled": False}})
    [told] = ask(Analyzer("1"), "Analyze", request(endpoints.ENDPOINT, **bad.properties)).diagnostics
    assert (told.policyName, told.urn) == ("AGD002", bad.urn)
    assert told.enforcementLevel == analyzer_pb2.MANDATORY
    assert told.message.endswith("Take inference_tables.enabled=False out [AGD002]")


def test_what_needs_the_state_is_said_not_to_be_judged() -> None:
    answer = ask(Analyzer("1"), "Analyze", request(endpoints.ENDPOINT, **endpoint()[0].properties))
    assert [each.policy_name for each in answer.not_applicable] == ["AGD008"]
    assert list(ask(Analyzer("1"), "Analyze", request(access.GRANT)).not_applicable) == []


def test_a_level_of_all_is_the_engines_to_hand_out_and_an_unknown_policy_is_refused() -> None:
    analyzer = Analyzer("1")
    configure(analyzer, "all", analyzer_pb2.DISABLED)
    configure(analyzer, "AGD011", analyzer_pb2.MANDATORY, days=30)
    [told] = ask(analyzer, "Analyze", request(access.OWN_SECRET, timeRotating="2026-01-01/60d")).diagnostics
    assert told.enforcementLevel == analyzer_pb2.MANDATORY
    with pytest.raises(Aborted, match="policies 'AGD099': expected one of AGD001"):
        configure(analyzer, "AGD099", analyzer_pb2.ADVISORY)


def test_remediation_sends_back_secrets_and_unknown_values_as_they_came() -> None:
    analyzer = Analyzer("1")
    configure(analyzer, "AGD006", analyzer_pb2.REMEDIATE, tags={"team": "search"})
    tags = {"owner": {SIGNATURE: SECRET, "value": "x"}, "cost": UNKNOWN_TEXT}
    given = {"name": "qa", "tags": tags, "traffic": {"qa_1": 100}, "list": [1.5, None, True]}
    [mended] = ask(analyzer, "Remediate", request(endpoints.ENDPOINT, **given)).remediations
    assert mended.properties == struct({**given, "tags": {**tags, "team": "search"}})
    assert list(ask(analyzer, "Remediate", request(access.OWN_SECRET)).remediations) == []


def test_a_stack_is_judged_with_the_parents_of_its_resources() -> None:
    around = urn("agent-deploy:index:AgentDeployment", "qa")
    rows = [
        ("agent-deploy:index:AgentDeployment", "", {}),
        (endpoints.ENDPOINT, around, endpoint()[0].properties),
        (tables.JOB, around, {"tasks": [{"taskKey": "derive"}]}),
    ]
    resources = [
        analyzer_pb2.AnalyzerResource(
            type=kind, name="qa", urn=urn(kind, "qa"), parent=parent, properties=struct(given)
        )
        for kind, parent, given in rows
    ]
    [told] = ask(Analyzer("1"), "AnalyzeStack", analyzer_pb2.AnalyzeStackRequest(resources=resources)).diagnostics
    assert (told.policyName, told.urn) == ("AGD014", urn(endpoints.ENDPOINT, "qa"))


def test_the_rest_of_the_protocol_is_answered() -> None:
    analyzer = Analyzer("1.2.3")
    assert ask(analyzer, "GetPluginInfo").version == "1.2.3"
    for method in ("Handshake", "ConfigureStack", "Cancel"):
        assert ask(analyzer, method) is not None
