"""Answers the engine for the policy pack: its calls, translated to the functions of judging.py.

Source: pulumi/proto/pulumi/analyzer.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc, plugin_pb2

from agent_deploy.policies.catalogue import PACK, POLICIES
from agent_deploy.policies.judging import ALL, LEVEL, Chosen, changed, choose, judge_one, judge_stack, mend
from agent_deploy.policies.pack import reading
from agent_deploy.policies.policy import ADVISORY, DISABLED, MANDATORY, REMEDIATE, Finding, Policy, Resource
from agent_deploy.rules.problems import InvalidInput

_LEVELS: Final = {
    ADVISORY: analyzer_pb2.ADVISORY,
    MANDATORY: analyzer_pb2.MANDATORY,
    DISABLED: analyzer_pb2.DISABLED,
    REMEDIATE: analyzer_pb2.REMEDIATE,
}
_NAMES: Final = {number: name for name, number in _LEVELS.items()}
_NOT_TOLD: Final = "the engine does not tell a policy pack what was there before; reports judge it"


class Analyzer(analyzer_pb2_grpc.AnalyzerServicer):
    """One run's policies; `Configure` comes before the first resource, where there is a configuration."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._chosen: list[Chosen] = choose()

    async def Handshake(self, request: Any, context: Any) -> Any:
        return analyzer_pb2.AnalyzerHandshakeResponse()

    async def ConfigureStack(self, request: Any, context: Any) -> Any:
        # Each resource's URN names its stack.
        return analyzer_pb2.AnalyzerStackConfigureResponse()

    async def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self._version)

    async def GetAnalyzerInfo(self, request: Any, context: Any) -> Any:
        return analyzer_pb2.AnalyzerInfo(
            name=PACK,
            displayName="Agents on Databricks",
            version=self._version,
            supportsConfig=True,
            description="What a platform team demands of agents that agent_deploy declares.",
            policies=[_described(policy) for policy in POLICIES],
        )

    async def Configure(self, request: Any, context: Any) -> Any:
        given = {
            id: {LEVEL: _NAMES[config.enforcementLevel], **_plain_struct(config.properties)}
            for id, config in request.policyConfig.items()
        }
        given.pop(ALL, None)  # the engine has given its level to each policy already
        try:
            self._chosen = choose(given)
        except InvalidInput as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return empty_pb2.Empty()

    async def Analyze(self, request: Any, context: Any) -> Any:
        found = judge_one(_resource(request), self._chosen)
        silent = [
            analyzer_pb2.PolicyNotApplicable(policy_name=each.policy.id, reason=_NOT_TOLD)
            for each in self._chosen
            if each.policy.looks_back and request.type in each.policy.types
        ]
        return analyzer_pb2.AnalyzeResponse(diagnostics=self._told(found), not_applicable=silent)

    async def AnalyzeStack(self, request: Any, context: Any) -> Any:
        resources = [_resource(each, each.parent) for each in request.resources]
        return analyzer_pb2.AnalyzeResponse(diagnostics=self._told(judge_stack(resources, self._chosen)))

    async def Remediate(self, request: Any, context: Any) -> Any:
        properties, mended = _plain_struct(request.properties), []
        for policy, changes in mend(_resource(request), self._chosen, date.today()):
            properties = changed(properties, changes)
            mended.append(
                analyzer_pb2.Remediation(
                    policyName=policy.id,
                    policyPackName=PACK,
                    policyPackVersion=self._version,
                    description=policy.title,
                    properties=_struct(properties),
                )
            )
        return analyzer_pb2.RemediateResponse(remediations=mended)

    async def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def _told(self, findings: Iterable[Finding]) -> list[Any]:
        return [
            analyzer_pb2.AnalyzeDiagnostic(
                policyName=finding.policy.id,
                policyPackName=PACK,
                policyPackVersion=self._version,
                description=finding.policy.title,
                message=str(finding),
                enforcementLevel=_LEVELS[finding.severity],
                urn=finding.resource.urn,
            )
            for finding in findings
        ]


def _described(policy: Policy) -> Any:
    properties = {setting.name: {"description": setting.description, **setting.schema} for setting in policy.settings}
    kind = analyzer_pb2.POLICY_TYPE_RESOURCE if policy.one else analyzer_pb2.POLICY_TYPE_STACK
    return analyzer_pb2.PolicyInfo(
        name=policy.id,
        displayName=policy.title,
        description=policy.why,
        message=policy.remedy,
        enforcementLevel=_LEVELS[policy.severity],
        configSchema=analyzer_pb2.PolicyConfigSchema(properties=_struct(properties)),
        policy_type=kind,
        remediation_steps=policy.remedy,
    )


def _resource(request: Any, parent: str = "") -> Resource:
    return reading.resource(request.type, request.name, _plain_struct(request.properties), request.urn, parent)


def _struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct


def _plain_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    return {name: _plain(value) for name, value in sorted(struct.fields.items())}


def _plain(value: struct_pb2.Value) -> Any:
    """As JSON has it, with the marks of secrets and unknown values, which go back to the engine as they came."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _plain_struct(value.struct_value)
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values]
    if kind == "number_value":
        return int(value.number_value) if value.number_value.is_integer() else value.number_value
    return None if kind in ("null_value", None) else getattr(value, kind)
