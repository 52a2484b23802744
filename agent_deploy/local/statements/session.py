"""Who runs a statement, with whose rights its parts are read, and what unqualified names mean."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from agent_deploy.local.core.principals import Principal
from agent_deploy.local.statements.errors import Canceled, SqlError

_DEPTH = 20  # views and functions in one another; a cycle of them ends here


@dataclass(frozen=True)
class Name:
    """A securable in a schema; all levels in lower case, as Unity Catalog keeps them."""

    catalog: str
    schema: str
    name: str

    @property
    def full(self) -> str:
        """``catalog.schema.name``."""
        return f"{self.catalog}.{self.schema}.{self.name}"

    @property
    def parent(self) -> str:
        """``catalog.schema``."""
        return f"{self.catalog}.{self.schema}"

    def __str__(self) -> str:
        return f"`{self.catalog}`.`{self.schema}`.`{self.name}`"


@dataclass(frozen=True)
class Session:
    """``principal`` is whose privileges count: the caller's, or within a view or function its owner's.

    ``reads_only`` when the caller lends his privileges to a statement that another wrote: it may only query.
    """

    caller: Principal
    principal: Principal
    catalog: str
    schema: str
    parameters: Mapping[str, exp.Expr] = field(default_factory=dict)
    canceled: threading.Event = field(default_factory=threading.Event)
    depth: int = 0
    reads_only: bool = False
    deadline: float = math.inf  # as `time.monotonic` tells time

    @property
    def is_over(self) -> bool:
        """Whether it was canceled, or has run as long as it may."""
        return self.canceled.is_set() or time.monotonic() > self.deadline

    def check(self) -> None:
        """Raise Canceled when the statement is over: called before anything is changed."""
        if self.is_over:
            raise Canceled

    def of_definer(self, owner: Principal, catalog: str, schema: str) -> Session:
        """The session in which a view's query or a function's body is read; raises SqlError when they nest too deep."""
        if self.depth == _DEPTH:
            message = f"Views and functions refer to one another more than {_DEPTH} levels deep."
            raise SqlError("RECURSION_LEVEL_LIMIT_EXCEEDED", message)
        return replace(self, principal=owner, catalog=catalog, schema=schema, parameters={}, depth=self.depth + 1)

    def name(self, table: exp.Table) -> Name:
        """The full name of a table, view or function as written; raises SqlError for one with too many levels."""
        if not isinstance(table.this, exp.Identifier | exp.Func):
            written = table.sql("databricks")
            raise SqlError("TABLE_OR_VIEW_NOT_FOUND", f"{written} is not a name of at most three levels.")
        return self.full_name(table.catalog, table.db, table.name)

    def full_name(self, catalog: str, schema: str, name: str) -> Name:
        """Missing levels are those of the session."""
        return Name((catalog or self.catalog).lower(), (schema or self.schema).lower(), name.lower())

    def schema_name(self, table: exp.Table) -> str:
        """The full name of a schema as written; some clauses give its levels as those of a table."""
        catalog, schema = [self.catalog, *(part.name for part in table.parts)][-2:]
        return f"{catalog}.{schema}".lower()
