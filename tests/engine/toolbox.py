"""A workspace with two objects of every kind that an agent may use, the toolbox agent, and who has what there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agent_deploy.client.configuration import PAT, Settings
from agent_deploy.client.workspace import Workspace
from tests.engine.serving import _REGISTER, MODEL, Site
from tests.engine.support import ROOT, RUN_SECONDS, clean_environment, eventually

TOOLBOX = "main.default.toolbox"
SCIM = "/api/2.0/preview/scim/v2"
UC = "/api/2.1/unity-catalog"
# Kind → what the agent is given on it: Unity Catalog's type or the permissions API's path, and the privilege. Written
# out here, from the platform's documentation, so that it holds the code's own table to account.
SECURABLES = {
    "function": ("function", "EXECUTE"),
    "vector_search_index": ("table", "SELECT"),
    "table": ("table", "SELECT"),
}
OBJECTS = {
    "sql_warehouse": ("sql/warehouses", "CAN_USE"),
    "serving_endpoint": ("serving-endpoints", "CAN_QUERY"),
    "genie_space": ("genie", "CAN_RUN"),
}
ALL_KINDS = (*OBJECTS, *SECURABLES)
PARENTS = (("catalog", "main", "USE_CATALOG"), ("schema", "main.default", "USE_SCHEMA"))
# What an undeclared object of a kind answers: HTTP's status, or the SQLSTATE of a refused statement.
REFUSALS = {**dict.fromkeys(OBJECTS, "403"), "vector_search_index": "403", "table": "42501", "function": "42501"}

_LOG = """
import json, sys
from stacks.agents.toolbox_agent.log import log_version
for own in json.loads(sys.argv[3]):
    log_version(sys.argv[4], own)
"""
Fact = tuple[str, ...]


class Toolbox(Site):
    """``objects``: set ("a", "b") → kind → name or id. Set a is version 1's, set b version 2's."""

    def __init__(self, local: Any) -> None:
        super().__init__(local)
        self.folder = local.folder
        self.objects: dict[str, dict[str, str]] = {letter: self._make(letter) for letter in "ab"}

    def _make(self, letter: str) -> dict[str, str]:
        post = self.workspace.post
        warehouse = str(post("/api/2.0/sql/warehouses", {"name": f"warehouse {letter}"})["id"])
        eventually(lambda: self.workspace.get(f"/api/2.0/sql/warehouses/{warehouse}")["state"] == "RUNNING")
        table, function, index = (f"main.default.{kind}_{letter}" for kind in ("orders", "plus", "texts"))
        self.sql(warehouse, f"CREATE TABLE {table} AS SELECT 1 AS id")
        self.sql(warehouse, f"CREATE FUNCTION {function}(x INT) RETURNS INT RETURN x + 1")
        query = {"question": ["How many orders are there?"], "sql": [f"SELECT count(*) FROM {table}"]}
        content = json.dumps({"version": 1, "instructions": {"example_question_sqls": [query]}})
        space = post("/api/2.0/genie/spaces", {"warehouse_id": warehouse, "serialized_space": content})["space_id"]
        post("/api/2.0/vector-search/endpoints", {"name": f"search-{letter}", "endpoint_type": "STANDARD"})
        schema = json.dumps({"id": "int", "text": "string", "place": "array<float>"})
        spec = {"embedding_vector_columns": [{"name": "place", "embedding_dimension": 2}], "schema_json": schema}
        made = {"name": index, "endpoint_name": f"search-{letter}", "primary_key": "id"}
        post(
            "/api/2.0/vector-search/indexes",
            {**made, "index_type": "DIRECT_ACCESS", "direct_access_index_spec": spec},
        )
        row = {"id": 1, "text": "all about a warehouse", "place": [0.0, 1.0]}
        post(f"/api/2.0/vector-search/indexes/{index}/upsert-data", {"inputs_json": json.dumps([row])})
        return {
            "sql_warehouse": warehouse,
            "table": table,
            "function": function,
            "vector_search_index": index,
            "genie_space": str(space),
            "serving_endpoint": f"callee-{letter}",
        }

    def sql(self, warehouse: str, statement: str) -> None:
        """Runs a statement as the administrator; it has to succeed."""
        body = {"warehouse_id": warehouse, "statement": statement, "wait_timeout": "50s"}
        status = self.workspace.post("/api/2.0/sql/statements", body)["status"]
        assert status["state"] == "SUCCEEDED", status

    def log_agents(self) -> None:
        """The model of the other endpoints, and versions 1 and 2 of the toolbox, by MLflow's own client."""
        own = json.dumps([self.objects["a"], self.objects["b"]])
        done = subprocess.run(
            [sys.executable, "-c", _REGISTER + _LOG, MODEL, "1", own, TOOLBOX], cwd=ROOT,
            env={**clean_environment(), **self.environment},
            text=True, capture_output=True, timeout=RUN_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def write_versions(self, model: str, *declared: Mapping[str, str]) -> None:
        """Versions that nobody will ask: an MLmodel document each, with the resources that it declares."""
        base = "/api/2.0/mlflow/unity-catalog"
        self.workspace.post(f"{base}/registered-models/create", {"name": model})
        for own in declared:
            made = self.workspace.post(f"{base}/model-versions/create", {"name": model, "source": "tests"})
            version = str(made["model_version"]["version"])
            path = f"/api/2.0/fs/files/Models/{model.replace('.', '/')}/{version}/MLmodel"
            self._put_file(path, json.dumps(_mlmodel(own)))  # JSON is YAML
            self.workspace.post(f"{base}/model-versions/finalize", {"name": model, "version": version})

    def _put_file(self, path: str, content: str) -> None:
        import httpx

        headers = {"Authorization": f"Bearer {self.environment['DATABRICKS_TOKEN']}"}
        httpx.put(f"{self.host}{path}?overwrite=true", content=content, headers=headers).raise_for_status()

    def serve_callees(self, model: str = MODEL) -> None:
        """The endpoints that agents call; they scale to zero, and start when they are asked."""
        entity = {"entity_name": model, "entity_version": "1", "workload_size": "Small", "scale_to_zero_enabled": True}
        for letter in "ab":
            body = {"name": self.objects[letter]["serving_endpoint"], "config": {"served_entities": [entity]}}
            self.workspace.post("/api/2.0/serving-endpoints", body)
        for letter in "ab":
            self.settled(self.objects[letter]["serving_endpoint"])

    def as_user(self, name: str) -> tuple[Workspace, dict[str, str]]:
        """A new user who is no administrator: a client of his, and the environment in which he deploys."""
        entitled = [{"value": "workspace-access"}]
        self.workspace.post(f"{SCIM}/Users", {"userName": name, "entitlements": entitled})
        token = str(self.workspace.post("/_local/tokens", {"principal": name})["token_value"])
        return self.as_bearer(token), {**self.environment, "DATABRICKS_TOKEN": token}

    def as_bearer(self, token: str) -> Workspace:
        """A client with this token."""
        return Workspace(Settings(host=self.host, method=PAT, token=token))

    def grant(self, kind: str, name: str, privilege: str, to: str) -> None:
        """On a securable of Unity Catalog."""
        change = {"principal": to, "add": [privilege]}
        self.workspace.patch(f"{UC}/permissions/{kind}/{name}", {"changes": [change]})

    def permit(self, path: str, name: str, level: str, **to: str) -> None:
        """On an object of the workspace; ``to`` is user_name or service_principal_name."""
        id = self.endpoint(name)["id"] if path == "serving-endpoints" else name
        entry = {**to, "permission_level": level}
        self.workspace.patch(f"/api/2.0/permissions/{path}/{id}", {"access_control_list": [entry]})

    def allow(self, principal: str, field: str, letter: str) -> None:
        """All that using a set of objects takes."""
        for kind, name, privilege in PARENTS:
            self.grant(kind, name, privilege, principal)
        for kind, (securable, privilege) in SECURABLES.items():
            self.grant(securable, self.objects[letter][kind], privilege, principal)
        for kind, (path, level) in OBJECTS.items():
            self.permit(path, self.objects[letter][kind], level, **{field: principal})

    def ask(self, endpoint: str, version: str, text: str) -> dict[str, Any]:
        """What the toolbox's version says: tool, object, allowed, status, and the text."""
        entity = f"{TOOLBOX.replace('.', '-')}_{version}"
        body = {"input": [{"role": "user", "content": text}]}
        answer = self.workspace.post(f"/serving-endpoints/{endpoint}/served-models/{entity}/invocations", body)
        return {**answer["custom_outputs"], "text": answer["output"][0]["content"][0]["text"]}

    def ask_all(self, endpoint: str, version: str, letter: str) -> dict[str, str]:
        """Kind → status, for every object of a set; "200" is a success."""
        with ThreadPoolExecutor(len(ALL_KINDS)) as together:
            asked = {
                kind: together.submit(self.ask, endpoint, version, f"{kind} {self.objects[letter][kind]}")
                for kind in ALL_KINDS
            }
            answers = {kind: answer.result() for kind, answer in asked.items()}
        print(*(answer["text"] for answer in answers.values()), sep="\n")  # shown when a test fails
        return {kind: answer["status"] for kind, answer in answers.items()}

    def principals(self) -> dict[str, dict[str, Any]]:
        """Service principals by application id."""
        found = self.workspace.get(f"{SCIM}/ServicePrincipals").get("Resources", [])
        return {principal["applicationId"]: principal for principal in found}

    def standing(self) -> set[Fact]:
        """Who has what: principals with their number of secrets, grants, access lists, scopes with keys and readers."""
        known = self.principals()
        facts: set[Fact] = set()
        for principal in known.values():
            secrets = self.workspace.get(
                f"/api/2.0/accounts/servicePrincipals/{principal['id']}/credentials/secrets"
            ).get("secrets", [])
            facts.add(("principal", principal["displayName"], f"{len(secrets)} secrets"))
        facts |= set(self._grants(known)) | set(self._lists(known)) | set(self._scopes())
        return facts

    def _grants(self, known: Mapping[str, Mapping[str, Any]]) -> Iterable[Fact]:
        places = [("catalog", "main"), ("schema", "main.default")]
        places += [(kind[0], own[name]) for own in self.objects.values() for name, kind in SECURABLES.items()]
        for kind, name in places:
            for given in self.workspace.get(f"{UC}/permissions/{kind}/{name}").get("privilege_assignments") or []:
                for privilege in given["privileges"]:
                    yield ("grant", name, _named(known, given["principal"]), privilege)

    def _lists(self, known: Mapping[str, Mapping[str, Any]]) -> Iterable[Fact]:
        places = [(kind[0], own[name]) for own in self.objects.values() for name, kind in OBJECTS.items()]
        for path, name in places:
            id = self.endpoint(name)["id"] if path == "serving-endpoints" else name
            for entry in self.workspace.get(f"/api/2.0/permissions/{path}/{id}")["access_control_list"]:
                who = next(str(entry[f]) for f in entry if f.endswith("_name") and f != "display_name")
                for level in entry["all_permissions"]:
                    yield ("list", f"{path}/{name}", _named(known, who), level["permission_level"])

    def _scopes(self) -> Iterable[Fact]:
        for scope in self.workspace.get("/api/2.0/secrets/scopes/list").get("scopes", []):
            name = scope["name"]
            keys = self.workspace.get("/api/2.0/secrets/list", {"scope": name}).get("secrets", [])
            readers = self.workspace.get("/api/2.0/secrets/acls/list", {"scope": name}).get("items", [])
            kinds = ",".join(sorted(key["key"].rsplit("-", 1)[0] for key in keys))
            yield ("scope", name, kinds, ",".join(sorted(f"{r['principal']}:{r['permission']}" for r in readers)))


def given(principal: str, own: Mapping[str, str]) -> set[Fact]:
    """The facts by which a principal may use these objects, and no more."""
    facts: set[Fact] = set()
    for kind, name in own.items():
        if kind in SECURABLES:
            facts |= {("grant", place, principal, privilege) for _, place, privilege in PARENTS}
            facts.add(("grant", name, principal, SECURABLES[kind][1]))
        else:
            path, level = OBJECTS[kind]
            facts.add(("list", f"{path}/{name}", principal, level))
    return facts


def _named(known: Mapping[str, Mapping[str, Any]], principal: str) -> str:
    return str(known[principal]["displayName"]) if principal in known else principal


def _mlmodel(own: Mapping[str, str]) -> dict[str, Any]:
    resources: dict[str, Any] = {
        "api_version": "1",
        "databricks": {kind: [{"name": name}] for kind, name in own.items()},
    }
    flavor = {"loader_module": "mlflow.pyfunc.model", "python_version": "3.11.0", "env": {}}
    return {"flavors": {"python_function": flavor}, "resources": resources, "mlflow_version": "3.0.0"}
