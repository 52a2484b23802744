"""Registered models and versions in the words of MLflow's Unity Catalog registry API."""

from __future__ import annotations

from agent_deploy.local.core.store import Document


def registered_model(model: Document) -> Document:
    """As `get` answers; numbers of versions are strings."""
    aliases = [{"alias": alias, "version": str(version)} for alias, version in sorted(model["aliases"].items())]
    shown = {**found_model(model), "aliases": aliases, "tags": _tags(model)}
    if job := model.get("deployment_job_id"):
        shown["deployment_job_id"] = job
    return shown


def found_model(model: Document) -> Document:
    """As `search` answers: without aliases and tags."""
    return {
        "name": model["full_name"],
        "creation_timestamp": model["created_at"],
        "last_updated_timestamp": model["updated_at"],
        "user_id": model["owner"],
        "description": model.get("comment") or "",
    }


def model_version(version: Document, aliases: list[str]) -> Document:
    """As `get` answers."""
    shown = {**found_version(version), "tags": _tags(version)}
    shown["aliases"] = [{"alias": alias, "version": str(version["version"])} for alias in aliases]
    return shown


def found_version(version: Document) -> Document:
    """As `search` answers: without aliases and tags. What was never set is absent."""
    shown = {
        "name": version["full_name"],
        "version": str(version["version"]),
        "creation_timestamp": version["created_at"],
        "last_updated_timestamp": version["updated_at"],
        "user_id": version["created_by"],
        "description": version.get("comment") or "",
        "status": version["status"],
        "storage_location": version["storage_location"],
    }
    optional = ("source", "run_id", "run_experiment_id", "run_tracking_server_id", "status_message", "model_id")
    return shown | {key: version[key] for key in optional if version.get(key)}


def _tags(document: Document) -> list[Document]:
    return [{"key": key, "value": value} for key, value in sorted(document["tags"].items())]
