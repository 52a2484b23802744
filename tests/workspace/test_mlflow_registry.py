"""MLflow's unmodified client with registry URI databricks-uc: log, register, alias, load, search, change, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_uc_registry_messages_pb2 import CreateModelVersionRequest, StorageMode
from mlflow.store.artifact.presigned_url_artifact_repo import PresignedUrlArtifactRepository
from mlflow.utils.databricks_utils import get_databricks_host_creds
from mlflow.utils.proto_json_utils import message_to_json

from tests.workspace.conftest import Caller

CODE = """
import mlflow

class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[str]) -> list[str]:
        return [f"ANSWER {text}" for text in model_input]

mlflow.models.set_model(Echo())
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "echo.py"
    path.write_text(CODE.replace("ANSWER", "echo"))
    return path


def log(model: str, code: Path, **more: Any) -> Any:
    mlflow.set_experiment("/Shared/registry-tests")
    with mlflow.start_run():
        return mlflow.pyfunc.log_model(
            name="echo", python_model=str(code), registered_model_name=model, pip_requirements=["mlflow"], **more
        )


def test_a_logged_model_is_registered_and_loads_by_version_and_alias(
    mlflow_client: MlflowClient, schema: str, code: Path
) -> None:
    model = f"{schema}.echo"
    info = log(model, code)
    assert info.registered_model_version == "1"
    mlflow_client.set_registered_model_alias(model, "Champion", "1")
    for uri in (f"models:/{model}/1", f"models:/{model}@champion"):
        assert mlflow.pyfunc.load_model(uri).predict(["a"]) == ["echo a"]


def test_a_version_tells_where_it_comes_from(
    mlflow_client: MlflowClient, schema: str, code: Path, admin: Caller
) -> None:
    info = log(f"{schema}.echo", code)
    version = mlflow_client.get_model_version(f"{schema}.echo", "1")
    assert (version.name, version.version, version.status) == (f"{schema}.echo", "1", "READY")
    assert version.run_id == info.run_id
    assert version.model_id == info.model_id
    assert version.user_id == "admin@local"
    # MLflow's entity leaves the experiment out; AgentDeployment reads it, for the traces.
    query = {"name": f"{schema}.echo", "version": "1"}
    raw = admin.http.get("/api/2.0/mlflow/unity-catalog/model-versions/get", params=query).json()["model_version"]
    assert raw["run_experiment_id"] == mlflow_client.get_run(info.run_id).info.experiment_id


def test_versions_count_up_and_a_deleted_number_is_not_given_again(
    mlflow_client: MlflowClient, schema: str, code: Path
) -> None:
    model = f"{schema}.echo"
    log(model, code)
    log(model, code)
    mlflow_client.set_registered_model_alias(model, "latest-good", "2")
    mlflow_client.delete_model_version(model, "2")
    assert mlflow_client.get_registered_model(model).aliases == {}
    with pytest.raises(MlflowException, match="does not exist") as raised:
        mlflow_client.get_model_version(model, "2")
    assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert log(model, code).registered_model_version == "3"
    assert [found.version for found in mlflow_client.search_model_versions(f"name='{model}'")] == ["3", "1"]


def test_descriptions_and_tags_of_models_and_versions(mlflow_client: MlflowClient, schema: str, code: Path) -> None:
    model = f"{schema}.echo"
    log(model, code)
    mlflow_client.update_registered_model(model, description="Answers.")
    mlflow_client.set_registered_model_tag(model, "team", "search")
    mlflow_client.update_model_version(model, "1", description="First.")
    mlflow_client.set_model_version_tag(model, "1", "checked", "yes")
    mlflow_client.set_model_version_tag(model, "1", "old", "yes")
    mlflow_client.delete_model_version_tag(model, "1", "old")
    registered, version = mlflow_client.get_registered_model(model), mlflow_client.get_model_version(model, "1")
    assert (registered.description, registered.tags) == ("Answers.", {"team": "search"})
    assert (version.description, version.tags) == ("First.", {"checked": "yes"})


def test_an_alias_moves_and_goes(mlflow_client: MlflowClient, schema: str, code: Path) -> None:
    model = f"{schema}.echo"
    log(model, code)
    log(model, code)
    mlflow_client.set_registered_model_alias(model, "champion", "1")
    mlflow_client.set_registered_model_alias(model, "champion", "2")
    assert mlflow_client.get_model_version_by_alias(model, "champion").version == "2"
    assert mlflow_client.get_model_version(model, "1").aliases == []
    mlflow_client.delete_registered_model_alias(model, "champion")
    with pytest.raises(MlflowException, match="alias"):
        mlflow_client.get_model_version_by_alias(model, "champion")


def test_a_renamed_model_keeps_versions_and_files(mlflow_client: MlflowClient, schema: str, code: Path) -> None:
    log(f"{schema}.echo", code)
    mlflow_client.rename_registered_model(f"{schema}.echo", f"{schema}.reply")
    assert mlflow.pyfunc.load_model(f"models:/{schema}.reply/1").predict(["a"]) == ["echo a"]
    with pytest.raises(MlflowException, match="does not exist"):
        mlflow_client.get_registered_model(f"{schema}.echo")


def test_a_deleted_model_is_gone_with_its_versions(mlflow_client: MlflowClient, schema: str, code: Path) -> None:
    model = f"{schema}.echo"
    log(model, code)
    mlflow_client.delete_registered_model(model)
    assert mlflow_client.search_model_versions(f"name='{model}'") == []
    assert model not in [found.name for found in mlflow_client.search_registered_models(max_results=1000)]


def test_the_files_are_the_logged_ones(mlflow_client: MlflowClient, schema: str, code: Path, tmp_path: Path) -> None:
    log(f"{schema}.echo", code)
    target = tmp_path / "loaded"
    mlflow.artifacts.download_artifacts(f"models:/{schema}.echo/1", dst_path=str(target))
    assert (target / "echo.py").read_text() == code.read_text()
    assert (target / "MLmodel").is_file()


def test_a_large_file_arrives_whole(mlflow_client: MlflowClient, schema: str, code: Path, tmp_path: Path) -> None:
    # Above the SDK's threshold, where it asks for an upload in parts first.
    big = tmp_path / "weights.bin"
    big.write_bytes(bytes(range(256)) * 256 * 900)
    log(f"{schema}.echo", code, artifacts={"weights": str(big)})
    target = mlflow.artifacts.download_artifacts(f"models:/{schema}.echo/1", dst_path=str(tmp_path / "loaded"))
    assert (Path(target) / "artifacts" / "weights.bin").read_bytes() == big.read_bytes()


def test_clients_that_ask_for_presigned_urls_get_them(mlflow_client: MlflowClient, schema: str, tmp_path: Path) -> None:
    # What MLflow falls back to in workspaces that do not answer that the SDK's repository is enabled.
    model = f"{schema}.echo"
    mlflow_client.create_registered_model(model)
    store = mlflow_client._get_registry_client().store
    body = message_to_json(CreateModelVersionRequest(name=model, source="models:/m-1"))
    version = store._call_endpoint(CreateModelVersionRequest, body).model_version.version
    credentials = store._get_temporary_model_version_write_credentials(model, version)
    assert credentials.storage_mode == StorageMode.DEFAULT_STORAGE
    repository = PresignedUrlArtifactRepository(get_databricks_host_creds("databricks-uc"), model, version)
    (tmp_path / "MLmodel").write_text("flavors: {}")
    repository.log_artifact(str(tmp_path / "MLmodel"))
    repository.log_artifact(str(tmp_path / "MLmodel"), "sub")
    assert [(found.path, found.is_dir) for found in repository.list_artifacts()] == [("MLmodel", False), ("sub", True)]
    loaded = repository.download_artifacts("sub/MLmodel", str(tmp_path))
    assert Path(loaded).read_text() == "flavors: {}"
    assert store._finalize_model_version(model, version).version == "1"


def test_a_model_in_an_unknown_schema_is_refused(mlflow_client: MlflowClient) -> None:
    with pytest.raises(MlflowException, match=r"Schema 'main\.nowhere' does not exist"):
        mlflow_client.create_registered_model("main.nowhere.echo")
    with pytest.raises(MlflowException, match="Catalog 'nowhere' does not exist"):
        mlflow_client.create_registered_model("nowhere.default.echo")


def test_a_name_without_three_levels_is_refused_with_mlflows_hint(mlflow_client: MlflowClient) -> None:
    with pytest.raises(MlflowException, match="specify all three levels"):
        mlflow_client.create_registered_model("echo")


def test_the_catalogs_api_sees_the_same_model(
    mlflow_client: MlflowClient, schema: str, code: Path, admin: Caller
) -> None:
    model = f"{schema}.echo"
    log(model, code)
    mlflow_client.set_registered_model_alias(model, "champion", "1")
    assert admin.sdk.registered_models.get(model, include_aliases=True).full_name == model
    assert admin.sdk.model_versions.get_by_alias(model, "champion").version == 1
    assert [found.version for found in admin.sdk.model_versions.list(model)] == [1]


def test_a_model_made_by_the_catalogs_api_takes_versions(
    mlflow_client: MlflowClient, schema: str, code: Path, admin: Caller
) -> None:
    # As infrastructure code does it: the model first, its versions later, by MLflow.
    admin.sdk.registered_models.create(catalog_name="main", schema_name=schema.split(".")[1], name="Echo", comment="c")
    model = f"{schema}.echo"
    assert log(model, code).registered_model_version == "1"
    mlflow_client.set_registered_model_tag(model, "a", "b")
    found = mlflow_client.get_registered_model(model)
    assert (found.description, found.tags) == ("c", {"a": "b"})
    admin.sdk.registered_models.set_alias(model, "champion", 1)
    assert mlflow_client.get_model_version_by_alias(model, "champion").version == "1"
    admin.sdk.model_versions.delete(model, 1)
    admin.sdk.registered_models.delete(model)
    with pytest.raises(MlflowException, match="does not exist"):
        mlflow_client.get_registered_model(model)
