"""Unity Catalog has one model by all spellings of its name: so has a deployment."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.provider.plugin.resource import Context
from agent_deploy.provider.registration.agent_registration import AgentRegistration
from agent_deploy.rules.declaration import declared

NAME = "main.default.echo_agent"
_spellings = st.lists(st.booleans(), min_size=len(NAME), max_size=len(NAME)).map(
    lambda upper: "".join(c.upper() if up else c for c, up in zip(NAME, upper, strict=True))
)


@given(spelling=_spellings)
def test_however_it_is_spelt_it_is_one_deployment(spelling: str) -> None:
    versions = {"versions": [{"version": "1"}]}
    assert declared({"model_name": spelling, **versions}) == declared({"model_name": NAME, **versions})
    inputs = {"modelName": spelling, "modelVersion": 1, "endpointName": "e", "servedEntityName": "s"}
    checked, failures = AgentRegistration().check(Context(), {}, inputs)
    assert (checked["modelName"], failures) == (NAME, [])
