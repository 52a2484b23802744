"""The workspace's jobs: their settings, and who made them."""

from __future__ import annotations

import time

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.run_as import run_as
from agent_deploy.local.core.store import Document, Documents
from agent_deploy.local.jobs.settings import check_settings

TYPE = "jobs"  # in the permissions API


class Jobs:
    """Document ``job`` by id, with its settings as they were given."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._store = workspace.store

    def create(self, settings: Document, principal: Principal) -> str:
        """Its id; raises 400 for settings that no job can have, and 403 for whom it may not run as."""
        check_settings(settings)
        runner = run_as(self._workspace, settings.get("run_as"), principal)
        job_id = str(self._store.next_number("job", 1000))
        document = {"job_id": int(job_id), "creator_user_name": principal.name, "settings": settings}
        document |= {"created_time": int(time.time() * 1000), "run_as_user_name": runner}
        self._store.put("job", job_id, document)
        self._workspace.authorization.register_object(TYPE, job_id, principal, str(settings.get("name") or job_id))
        return job_id

    def get(self, job_id: object) -> Document:
        """Raises the platform's 400 when there is none: clients know it as gone by its words."""
        document = self._store.get("job", str(job_id))
        if document is None:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Job {job_id} does not exist.")
        return document

    def list(self) -> Documents:
        """Newest first."""
        return list(reversed(self._store.list("job")))

    def change(self, job_id: object, settings: Document, principal: Principal) -> None:
        """Replace the settings; raises as `create` does."""
        check_settings(settings)
        held = self.get(job_id)
        runner = run_as(self._workspace, settings.get("run_as"), principal, held["run_as_user_name"])
        self._store.put("job", str(job_id), {**held, "settings": settings, "run_as_user_name": runner})

    def delete(self, job_id: object) -> None:
        """With its ACL; runs that are active go on, as on the platform."""
        self.get(job_id)
        self._store.delete("job", str(job_id))
        self._workspace.authorization.forget_object(TYPE, str(job_id))
