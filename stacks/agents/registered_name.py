"""Whether a model can be registered under a name, before anything is logged for it."""

from __future__ import annotations

from agent_deploy.rules.names import check_model_name


def check_registered_name(model_name: str) -> None:
    """Ends the program with one line where the name has not three levels, or catalog or schema are not there."""
    from databricks.sdk import WorkspaceClient  # here, since it takes a second to import
    from databricks.sdk.errors import DatabricksError

    if problems := check_model_name("MODEL", model_name):
        raise SystemExit(str(problems[0]))
    catalog, schema, _ = model_name.split(".")
    try:
        WorkspaceClient().schemas.get(f"{catalog}.{schema}")
    except DatabricksError as error:
        raise SystemExit(f"MODEL {model_name!r}: {error} Create it first, or name a model where there is one") from None
    except ValueError as error:  # no host, or no credentials
        raise SystemExit(f"no workspace to register {model_name!r} in: {error}") from None
