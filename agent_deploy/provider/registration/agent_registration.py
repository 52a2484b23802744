"""The resource AgentRegistration: one served version in the agents service's register, and its agent in a Review App.

Both belong to a private API of the platform. Where a workspace lacks it, the user is warned, and all else works.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, ClassVar

from agent_deploy.client import agents_service as service
from agent_deploy.client.agents_service import NoAgentsService
from agent_deploy.client.errors import ApiError, ConnectionLost, WorkspaceError
from agent_deploy.client.workspace import Workspace, is_missing, segment
from agent_deploy.provider.endpoint.state import PATH, tags_of
from agent_deploy.provider.plugin.claims import Claims
from agent_deploy.provider.plugin.resource import (
    UNKNOWN,
    Context,
    Created,
    Failure,
    Found,
    PartialFailure,
    Resource,
    UserError,
    Values,
)
from agent_deploy.provider.workspace.connection import workspace_of
from agent_deploy.rules.environment import EXPERIMENT_TAG
from agent_deploy.rules.names import review_app_url, served_entity_url

# Our input → the register's field.
_RECORD = {
    "modelName": "model_name",
    "modelVersion": "model_version",
    "endpointName": "endpoint_name",
    "servedEntityName": "served_entity_name",
}
# A Review App is written as a whole by everyone who adds an agent: looked at again after writing, so many times.
MAX_WRITES = 5


class AgentRegistration(Resource):
    """Id: ``<model>/<version>``, as it was when the resource was made: a version that a preview does not know yet would
    show as a replacement. The register keeps one record for each version of a model, the latest last.
    """

    inputs: ClassVar[tuple[str, ...]] = (*_RECORD, "experimentId", "instructions")
    outputs: ClassVar[tuple[str, ...]] = ("registered", "queryEndpoint", "reviewAppUrl", "reviewAppId")

    def __init__(self) -> None:
        # Versions share their model's instructions, and models their experiment's Review App: one writer at a time.
        self._turn: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._claims = Claims()

    def check(self, context: Context, old_inputs: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """Versions as strings, a number being enough for the form; the model in lower case, as Unity Catalog has it."""
        if isinstance(model := inputs.get("modelName"), str) and model is not UNKNOWN:
            inputs["modelName"] = model.lower()
        version: Any = inputs.get("modelVersion")
        if isinstance(version, (int, float)):
            inputs["modelVersion"] = version = str(int(version))
        if version is not UNKNOWN and not (isinstance(version, str) and version.isdecimal()):
            return inputs, [Failure("modelVersion", f"{version!r}: expected the number of a model version, such as 3")]
        self._claims.claim(context, _id(inputs))
        return inputs, []

    def preview(self, context: Context, old: Values | None, inputs: Values) -> Values:
        """Addresses change with what they are made of."""
        made_of = (*_RECORD, "experimentId")
        same = old is not None and all(old.get(name) == inputs.get(name) for name in made_of)
        return super().preview(context, old if same else None, inputs)

    def create(self, context: Context, inputs: Values) -> Created:
        """Registers the version, and sees to instructions and Review App."""
        with self._turn[_key(inputs)]:
            return Created(_id(inputs), _Registering(context, inputs, {}).register(take=True))

    def read(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        """What the register says; None when it has no record of the version, or only one of a deleted endpoint."""
        model, version = (str(old["modelName"]), str(old["modelVersion"])) if old else _parse(id)
        workspace, ours = workspace_of(context), old_inputs.get("endpointName")
        try:
            found = service.records(workspace, model, version)
        except NoAgentsService as error:
            if not old:
                raise UserError(f"{id} cannot be imported: the workspace has no agents service ({error}).") from None
            return Found(id, old, old_inputs)
        record = next((each for each in found if ours in (None, each["endpoint_name"])), None)
        if record is None:
            taken = next((each["endpoint_name"] for each in found if _exists(workspace, each["endpoint_name"])), None)
            if taken is None:
                return None
            context.warn(f"{_shown(model, version)} is registered for endpoint {taken} by now: left to it.")
            return Found(id, {**old, "registered": False}, old_inputs)
        inputs: Values = {name: str(record.get(field) or "") for name, field in _RECORD.items()}
        if (told := service.instructions(workspace, model)) and (not old_inputs or "instructions" in old_inputs):
            inputs["instructions"] = told
        wanted = old_inputs.get("experimentId") if old_inputs else _experiment(workspace, inputs["endpointName"])
        app_id = str(old.get("reviewAppId") or "")
        if wanted:
            member = _membership(workspace, str(wanted), inputs)
            app_id = member.app_id
            if member.is_known or (member.endpoint and old_inputs):
                inputs["experimentId"] = wanted
        return Found(id, {**inputs, **_outputs(workspace, inputs, record, app_id)}, inputs)

    def update(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Values:
        """Only what differs: a record that is written again becomes the latest of its model.

        Another version's takes the place of the old one's.
        """
        if _id(old_inputs) != _id(inputs):
            self.delete(context, id, old_inputs, old)
            return self.create(context, inputs).properties
        with self._turn[_key(inputs)]:
            moved = any(old.get(name) != inputs.get(name) for name in _RECORD)
            return _Registering(context, inputs, old).register(take=moved)

    def delete(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        """Removes the record, and after the model's last one on this endpoint, what reviewers were shown of it."""
        inputs = old_inputs or old
        if self._claims.is_anothers(context, _id(inputs)):
            return
        with self._turn[_key(inputs)]:
            try:
                _Leaving(workspace_of(context), inputs, old).leave()
            except NoAgentsService:
                return


@dataclass(frozen=True)
class _Membership:
    """Whether a Review App knows an agent by our endpoint, or by which other; no app, no id."""

    app_id: str = ""
    endpoint: str = ""
    is_known: bool = False


class _Registering:
    """One create or update; ``old`` is what the state says, empty for create."""

    def __init__(self, context: Context, inputs: Values, old: Values) -> None:
        self._context, self._inputs, self._old = context, inputs, old
        self._workspace = workspace_of(context)
        self._model, self._endpoint = str(inputs["modelName"]), str(inputs["endpointName"])
        self._joined = str(old.get("experimentId") or "")  # whose Review App knows the agent, until it has left it

    def register(self, take: bool) -> Values:
        """All properties; raises PartialFailure with what is there, when the rest failed."""
        record, app_id = None, ""
        try:
            record = self._record(take)
            self._instruct()
            app_id = self._join()
        except NoAgentsService as error:
            lacking = "the Review App does" if record else "databricks.agents and its list of deployments do"
            told = f"{self._name} is served, but {lacking} not know it"
            self._context.warn(f"This workspace has no agents service ({error}): {told}.")
        except WorkspaceError as error:
            if record is None and not isinstance(error, ConnectionLost):
                raise
            # After a lost answer, all of it may be there: the next run looks again, and a destroy removes it.
            there = {**self._inputs, **({"experimentId": self._joined} if self._joined else {})}
            properties = {**there, **_outputs(self._workspace, self._inputs, record, "")}
            reason = f"{self._name} is not yet known as declared to those who look for it or review it: {error}"
            raise PartialFailure(_id(self._inputs), properties, there, [reason]) from error
        return {**self._inputs, **_outputs(self._workspace, self._inputs, record, app_id)}

    @property
    def _name(self) -> str:
        return _shown(self._model, str(self._inputs["modelVersion"]))

    def _record(self, take: bool) -> Values | None:
        """The version's record; None when another endpoint has it, and ours is neither made nor moved."""
        version = str(self._inputs["modelVersion"])
        found = service.records(self._workspace, self._model, version)
        for each in found:
            if all(str(each.get(field)) == str(self._inputs[name]) for name, field in _RECORD.items()):
                return each
        others = {each["endpoint_name"] for each in found} - {self._endpoint, self._old.get("endpointName")}
        for other in sorted(others):
            if not take:
                return None
            if _exists(self._workspace, other):
                self._context.warn(f"{self._name} was registered for endpoint {other}: now it is for {self._endpoint}.")
        record = {field: str(self._inputs[name]) for name, field in _RECORD.items()}
        url = served_entity_url(self._workspace.host, self._endpoint, record["served_entity_name"])
        try:
            return service.register(self._workspace, {**record, "query_endpoint": url})
        except ApiError as error:
            if error.status != 403:
                raise
            # The endpoint is the deployer's own: what he may not touch is another's record of the version.
            self._context.warn(f"{self._name} is served, but not registered for endpoint {self._endpoint}: {error}")
            return None

    def _instruct(self) -> None:
        wanted = str(self._inputs.get("instructions") or "")
        if not wanted and not self._old.get("instructions"):
            return
        if service.instructions(self._workspace, self._model) != wanted:
            service.set_instructions(self._workspace, self._model, wanted)

    def _join(self) -> str:
        """Into the experiment's Review App; returns its id, empty when another endpoint has the agent's place."""
        wanted, old_endpoint = self._inputs.get("experimentId"), str(self._old.get("endpointName") or "")
        if self._joined and self._joined != wanted:
            _leave_review_app(self._workspace, self._joined, self._model, old_endpoint)
            self._joined = ""
        if not wanted:
            return ""
        entry = service.agent(self._model, self._endpoint)
        for _ in range(MAX_WRITES):
            app = service.review_app(self._workspace, str(wanted))
            if app is None:
                app = service.create_review_app(self._workspace, str(wanted), [entry])
            agents = list(app.get("agents") or [])
            known = service.endpoint_of(agents, self._model)
            if known == self._endpoint:
                return str(app["review_app_id"])
            if known and known != old_endpoint and _exists(self._workspace, known):
                told = f"The Review App of experiment {wanted} asks {self._model} by endpoint {known} already"
                self._context.warn(f"{told}, and can ask it by one only: {self._endpoint} was not added.")
                return ""
            others = [each for each in agents if each.get("agent_name") != self._model]
            service.set_agents(self._workspace, app, [*others, entry])
        raise WorkspaceError(f"the Review App of experiment {wanted} is being written by somebody else all the time")


class _Leaving:
    """One delete."""

    def __init__(self, workspace: Workspace, inputs: Values, old: Values) -> None:
        self._workspace, self._inputs, self._old = workspace, inputs, old
        self._model, self._endpoint = str(inputs["modelName"]), str(inputs["endpointName"])

    def leave(self) -> None:
        """Raises NoAgentsService, and whatever else goes wrong."""
        version = str(self._inputs["modelVersion"])
        told, experiment = self._old.get("instructions"), str(self._inputs.get("experimentId") or "")
        found = service.records(self._workspace, self._model, "" if told or experiment else version)
        endpoints = {each["endpoint_name"] for each in found if each["model_version"] == version}
        is_ours = endpoints == {self._endpoint}  # one that another endpoint has taken over is not ours to remove
        left = [each for each in found if not (is_ours and each["model_version"] == version)]
        try:
            # Before the record goes: by its endpoint the workspace knows who may write instructions.
            if told and not left and service.instructions(self._workspace, self._model) == told:
                service.set_instructions(self._workspace, self._model, "")
        finally:
            if is_ours:
                service.forget(self._workspace, self._model, version)
        ours = [each for each in left if each["endpoint_name"] == self._endpoint and each["model_version"] != version]
        if not ours and experiment:
            _leave_review_app(self._workspace, experiment, self._model, self._endpoint)


def _leave_review_app(workspace: Workspace, experiment_id: str, model: str, endpoint: str) -> None:
    """Takes our agent out; others' stay, and so does the Review App with what reviewers said in it."""
    app = service.review_app(workspace, experiment_id)
    agents = list((app or {}).get("agents") or [])
    if app is not None and service.endpoint_of(agents, model) == endpoint:
        service.set_agents(workspace, app, [each for each in agents if each.get("agent_name") != model])


def _membership(workspace: Workspace, experiment_id: str, inputs: Values) -> _Membership:
    try:
        app = service.review_app(workspace, experiment_id)
    except NoAgentsService:
        return _Membership(is_known=True)  # nothing that could be mended
    if app is None:
        return _Membership()
    endpoint = service.endpoint_of(list(app.get("agents") or []), str(inputs["modelName"]))
    is_known = endpoint == inputs["endpointName"]
    return _Membership(str(app["review_app_id"]) if is_known else "", endpoint, is_known)


def _outputs(workspace: Workspace, inputs: Values, record: Values | None, app_id: str) -> Values:
    """The address that the register gives when it is of a Review App of version 2; else the app's own, or what asks
    the endpoint.
    """
    endpoint = str(inputs["endpointName"])
    told = str((record or {}).get("review_app_url") or "")
    if service.REVIEW_APP_V2 not in told:
        told = review_app_url(workspace.host, endpoint, app_id)
    asked = str((record or {}).get("query_endpoint") or "")
    return {
        "registered": record is not None,
        "queryEndpoint": asked or served_entity_url(workspace.host, endpoint, str(inputs["servedEntityName"])),
        "reviewAppUrl": told,
        "reviewAppId": app_id,
    }


def _exists(workspace: Workspace, endpoint: str) -> bool:
    try:
        workspace.get(f"{PATH}/{segment(endpoint)}")
    except ApiError as error:
        if is_missing(error):
            return False
        if error.status != 403:
            raise
    return True


def _experiment(workspace: Workspace, endpoint: str) -> str | None:
    """Of an imported registration: the one with which the endpoint is tagged."""
    found = workspace.find(f"{PATH}/{segment(endpoint)}")
    return None if found is None else tags_of(found).get(EXPERIMENT_TAG)


def _shown(model: str, version: str) -> str:
    return f"Version {version} of {model}"


def _key(inputs: Values) -> str:
    # One experiment may hold several models; without one, a model's versions still share its instructions.
    return str(inputs.get("experimentId") or inputs.get("modelName"))


def _id(inputs: Values) -> str:
    return f"{inputs['modelName']}/{inputs['modelVersion']}"


def _parse(id: str) -> tuple[str, str]:
    model, _, version = id.partition("/")
    if not model or not version.isdecimal():
        raise UserError(f"{id!r} is not the id of an agent's registration: expected <catalog.schema.model>/<version>")
    return model, version
