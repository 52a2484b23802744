"""`agent-deploy promote`: a version logged by MLflow goes from one catalog into another, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from agent_deploy.cli.app import CommandError, app
from agent_deploy.rules.promotion import PROMOTED_BY, PROMOTED_FROM
from tests.workspace.conftest import Caller
from tests.workspace.test_mlflow_registry import code as code  # a fixture
from tests.workspace.test_mlflow_registry import log

STACK = """\
# prod's agents
config:
  agents:agents:
    docs:
      model_name: {target}
      versions:
        - version: "1"  # reviewed
    other:
      model_name: {other}
      versions: [{{version: "1"}}]
    late:
      model_name: {target}
      versions: [{{alias: champion}}]
"""


@pytest.fixture
def catalogs(admin: Caller, name: str) -> Iterator[tuple[str, str]]:
    """Of staging and prod, each with a schema ``agents``."""
    found = (f"staging_{name}", f"prod_{name}")
    for catalog in found:
        admin.sdk.catalogs.create(catalog)
        admin.sdk.schemas.create("agents", catalog)
    yield found
    for catalog in found:
        admin.sdk.catalogs.delete(catalog, force=True)


def promote(*arguments: str) -> tuple[int, str]:
    """Exit code and what is said."""
    try:
        done = CliRunner().invoke(app, ["promote", *arguments], catch_exceptions=False)
    except CommandError as error:
        return 2, str(error)
    return done.exit_code, done.output


def aliases(client: MlflowClient, model: str) -> dict[str, str]:
    return {alias: str(version) for alias, version in client.get_registered_model(model).aliases.items()}


def test_there_and_back(
    mlflow_client: MlflowClient, admin: Caller, catalogs: tuple[str, str], code: Path, tmp_path: Path
) -> None:
    staging, prod = (f"{catalog}.agents.docs" for catalog in catalogs)
    file = tmp_path / "Pulumi.prod.yaml"
    written = STACK.format(target=prod, other=staging).replace("\n", "\r\n")  # as an editor on Windows leaves it
    file.write_bytes(written.encode())
    for version in ("1", "2"):
        log(staging, code)
        mlflow_client.set_registered_model_alias(staging, "champion", version)
        before = file.read_bytes().decode()
        code_, plan = promote("agents.docs@champion", "--from", catalogs[0], "--to", catalogs[1], "--plan")
        assert (code_, f"copy {staging} version {version} to {prod}" in plan) == (0, True), plan
        assert file.read_bytes().decode() == before
        code_, said = promote(f"{staging}/{version}", "--to", catalogs[1], "--stack-file", str(file))
        assert code_ == 0, said
        copy = mlflow_client.get_model_version(prod, version)
        assert (copy.tags[PROMOTED_FROM], copy.tags[PROMOTED_BY]) == (f"{staging}/{version}", admin.name)
        assert mlflow.pyfunc.load_model(f"models:/{prod}@champion").predict(["a"]) == ["echo a"]
    assert aliases(mlflow_client, prod) == {"champion": "2", "previous": "1"}
    assert file.read_bytes().decode() == written.replace('- version: "1"', '- version: "2"')
    # Again: nothing is done twice.
    assert "nothing to do" in promote(f"{staging}@champion", "--to", catalogs[1])[1]
    assert len(mlflow_client.search_model_versions(f"name='{prod}'")) == 2
    # The same command backwards.
    assert promote(f"{prod}@previous", "--to", catalogs[1], "--stack-file", str(file))[0] == 0
    assert aliases(mlflow_client, prod) == {"champion": "1", "previous": "2"}
    assert file.read_bytes().decode() == written
    # And forth: what was copied once is not copied again.
    assert promote(f"{staging}@champion", "--to", catalogs[1])[0] == 0
    assert aliases(mlflow_client, prod) == {"champion": "2", "previous": "1"}
    assert len(mlflow_client.search_model_versions(f"name='{prod}'")) == 2


def test_what_is_cut_off_is_gone_on_with(
    mlflow_client: MlflowClient, catalogs: tuple[str, str], code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging, prod = (f"{catalog}.agents.docs" for catalog in catalogs)
    log(staging, code)
    real = {name: getattr(MlflowClient, name) for name in ("create_model_version", "set_registered_model_alias")}
    for name in real:

        def cut(*_: Any, **__: Any) -> None:
            raise mlflow.MlflowException("cut off")

        monkeypatch.setattr(MlflowClient, name, cut)
        assert promote(f"{staging}/1", "--to", catalogs[1]) == (
            2,
            f"{prod}: MlflowException: cut off. Run the same command again to go on",
        )
        monkeypatch.setattr(MlflowClient, name, real[name])
    assert promote(f"{staging}/1", "--to", catalogs[1])[0] == 0
    assert aliases(mlflow_client, prod) == {"champion": "1"}
    assert [each.version for each in mlflow_client.search_model_versions(f"name='{prod}'")] == ["1"]


def test_whoever_may_not_is_told_before_anything_is_done(
    mlflow_client: MlflowClient,
    newcomer: Callable[[], Caller],
    admin: Caller,
    catalogs: tuple[str, str],
    code: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    staging, prod = (f"{catalog}.agents.docs" for catalog in catalogs)
    log(staging, code)
    log(prod, code)
    caller = newcomer()
    monkeypatch.setenv("DATABRICKS_TOKEN", str(caller.sdk.config.token))

    def grant(kind: str, name: str, privilege: str) -> None:
        body = {"changes": [{"principal": caller.name, "add": [privilege]}]}
        admin.http.patch(f"/api/2.1/unity-catalog/permissions/{kind}/{name}", json=body).raise_for_status()

    for catalog in catalogs:
        grant("catalog", catalog, "USE_CATALOG")
        grant("schema", f"{catalog}.agents", "USE_SCHEMA")
    grant("function", staging, "EXECUTE")
    for privilege in ("CREATE_MODEL_VERSION", "MANAGE"):
        exit_code, said = promote(f"{staging}/1", "--to", catalogs[1])
        assert (exit_code, privilege.replace("_", " ") in said) == (1, True), said
        assert "GRANT" in said
        grant("function", prod, privilege)
    exit_code, said = promote(f"{staging}/1", "--to", catalogs[1])
    assert exit_code == 0, said
    monkeypatch.setenv("DATABRICKS_TOKEN", str(admin.sdk.config.token))
    assert [int(each.version) for each in mlflow_client.search_model_versions(f"name='{prod}'")] == [2, 1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["docs", "--to", "prod"], "MODEL 'docs': expected catalog.schema.model"),
        (["agents.docs", "--to", "prod"], "Write the catalog, too, or say --from"),
        (["staging.agents.docs", "--from", "dev", "--to", "prod"], "--from 'dev': expected the catalog of"),
        (["staging.agents.docs", "--to", "prod/x"], "--to 'prod/x': expected a catalog"),
        (["staging.agents.docs/0", "--to", "prod"], "MODEL"),
        (["main.default.nonesuch@champion", "--to", "prod"], "has no alias 'champion'"),
        (["main.default.nonesuch/3", "--to", "prod"], "has no version 3"),
    ],
)
@pytest.mark.usefixtures("mlflow_client")
def test_mistakes_are_told(arguments: list[str], expected: str) -> None:
    exit_code, said = promote(*arguments)
    assert (exit_code, expected in said) == (2, True), said
