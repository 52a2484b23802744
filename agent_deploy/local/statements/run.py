"""What one statement runs with: the catalog, the tables, its session, its database."""

from __future__ import annotations

from dataclasses import dataclass

from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.statements.binding import Binder
from agent_deploy.local.statements.database import Database
from agent_deploy.local.statements.delta import DeltaTables
from agent_deploy.local.statements.session import Session


@dataclass(frozen=True)
class Run:
    """What a statement runs with."""

    workspace: Workspace
    metastore: Metastore
    tables: DeltaTables
    binder: Binder
    session: Session
    row_limit: int | None = None

    @property
    def database(self) -> Database:
        """The engine's database of this statement."""
        return self.binder.database
