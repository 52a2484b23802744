"""What was asked of an endpoint and answered, read from its payload table by who may: conversations and their turns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent_deploy.local.core.errors import not_found
from agent_deploy.local.core.json_text import parse_or_none
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.query import is_whole
from agent_deploy.local.core.store import Document
from agent_deploy.local.pages import ratings
from agent_deploy.local.pages.pages import Pages
from agent_deploy.local.pages.ratings import Rating
from agent_deploy.local.serving.gateway import payload_table
from agent_deploy.rules.environment import EXPERIMENT_TAG, EXPERIMENT_VARIABLE
from agent_deploy.rules.names import FEEDBACK_ENTITY
from agent_deploy.tables.dataset import dataset

MOST_ROWS = 50_000  # the newest ones are looked at
_TITLE_CHARACTERS = 300
# A request to the feedback model, whichever entity serves it.
_IS_FEEDBACK = "(contains(request, '\"dataframe_') AND contains(request, '_assessments'))"
_ROWS = f"""
SELECT databricks_request_id, epoch_ms(request_time), status_code, execution_duration_ms, served_entity_id, requester,
       coalesce(json_extract_string(asked, '$.databricks_options.conversation_id'),
                json_extract_string(asked, '$.context.conversation_id'), databricks_request_id),
       left(coalesce(json_extract_string(asked, '$.input[#-1].content'),
                     json_extract_string(asked, '$.messages[#-1].content'), request), {_TITLE_CHARACTERS})
FROM (SELECT *, try_cast(request AS JSON) AS asked FROM logged WHERE NOT {_IS_FEEDBACK}
      ORDER BY request_time DESC LIMIT {MOST_ROWS})
"""
_FEEDBACK = f"SELECT request, epoch_ms(request_time) FROM logged WHERE {_IS_FEEDBACK} AND status_code = 200"
_WITH_TEXT = """
SELECT databricks_request_id FROM logged
WHERE contains(lower(request), lower(?)) OR contains(lower(response), lower(?))
"""
_WHOLE = "SELECT databricks_request_id, request, response FROM logged WHERE list_contains(?, databricks_request_id)"


@dataclass(frozen=True)
class Turn:
    """One logged request. ``version`` is a model version's number, or empty when the entity is not known any more."""

    request_id: str
    time_ms: float
    status: int
    duration_ms: float
    entity: str
    version: str
    user: str
    conversation: str
    question: str
    ratings: tuple[Rating, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the answer is no success."""
        return self.status != 200


@dataclass
class Conversation:
    """Turns with one conversation id, oldest first; a request without one is a conversation of its own."""

    id: str
    turns: list[Turn] = field(default_factory=list)

    @property
    def title(self) -> str:
        """What was asked first."""
        return self.turns[0].question

    @property
    def time_ms(self) -> float:
        """Of its last turn."""
        return self.turns[-1].time_ms

    @property
    def users(self) -> list[str]:
        """Who asked."""
        return sorted({turn.user for turn in self.turns})

    @property
    def versions(self) -> list[str]:
        """Which versions answered."""
        return sorted({turn.version for turn in self.turns}, key=version_order)

    @property
    def failed(self) -> bool:
        """Whether any of its answers is no success."""
        return any(turn.failed for turn in self.turns)

    @property
    def judgements(self) -> list[Rating]:
        """Ratings with a value, of all turns."""
        return [rating for turn in self.turns for rating in turn.ratings if rating.is_judgement]


class Logged:
    """One endpoint's log as one principal may read it."""

    def __init__(self, pages: Pages, principal: Principal, endpoint_name: str) -> None:
        """Raises 404 and 403: it takes CAN_VIEW on the endpoint and SELECT on its payload table."""
        # Here, not at the top: a workspace is to answer before these are loaded.
        import duckdb
        from deltalake import DeltaTable

        endpoint = pages.endpoints.require(principal, endpoint_name, "CAN_VIEW")
        table = payload_table(endpoint.document["ai_gateway"])
        if table is None:
            raise not_found(f"'{endpoint_name}' logs nothing: enable its inference table to see what was asked.")
        # As a query of the table would be: whoever may read it sees everybody's questions.
        pages.workspace.authorization.require(principal, "SELECT", "table", table)
        self.table = table
        self.entities = entities_of(endpoint.document)
        self._experiments, self._principal = pages.experiments, principal
        self._experiment_id = _experiment_of(endpoint.document)
        folder = pages.metastore.table_folder(table)
        self._connection = duckdb.connect()
        self._connection.execute("SET enable_external_access = false")
        self._connection.register("logged", dataset(DeltaTable(folder), folder))

    def turns(self) -> list[Turn]:
        """The newest rows, oldest first, each with its ratings. Runs in a thread."""
        rated: dict[str, list[Rating]] = defaultdict(list)
        for rating in ratings.latest(self._ratings()):
            rated[rating.request_id].append(rating)
        found = []
        for request_id, time_ms, status, duration, entity_id, user, conversation, question in self._rows(_ROWS):
            entity, version = self.entities.get(entity_id, ("", ""))
            facts = (request_id, time_ms, status, duration, entity, version, user or "", conversation, question or "")
            found.append(Turn(*facts, ratings=tuple(rated.get(request_id, ()))))
        return found[::-1]

    def containing(self, text: str) -> frozenset[str]:
        """Ids of the requests that have the text in question or answer, in any case."""
        return frozenset(row[0] for row in self._rows(_WITH_TEXT, [text, text]))

    def whole(self, request_ids: list[str]) -> Mapping[str, tuple[Any, Any]]:
        """Request and response of each, as JSON; None for what was cut off at the table's limit."""
        return {row[0]: (parse_or_none(row[1]), parse_or_none(row[2])) for row in self._rows(_WHOLE, [request_ids])}

    def _ratings(self) -> list[Rating]:
        traces = ratings.of_traces(self._experiments, self._principal, self._experiment_id)
        given = [said for request, time_ms in self._rows(_FEEDBACK) for said in ratings.of_feedback(request, time_ms)]
        return [*traces.ratings, *filter(traces.stands, given)]

    def _rows(self, query: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._connection.execute(query, parameters or []).fetchall()
        return rows


def conversations(turns: list[Turn]) -> list[Conversation]:
    """Newest first."""
    found: dict[str, Conversation] = {}
    for turn in turns:
        # An id is only as good as the client that gave it: two users are never in one conversation.
        key = f"{turn.user}/{turn.conversation}"
        found.setdefault(key, Conversation(turn.conversation)).turns.append(turn)
    return sorted(found.values(), key=lambda conversation: -conversation.time_ms)


def version_order(version: str) -> tuple[int, str]:
    """By number; what is no number comes last."""
    return (int(version), "") if is_whole(version) else (1 << 31, version)


def entities_of(document: Document) -> dict[str, tuple[str, str]]:
    """Entity id → name and model version, of all entities that the endpoint has or had, without the feedback model."""
    known = dict(document.get("entities_served") or {})
    for config in (document["config"], document["pending_config"]):
        for entity in (config or {}).get("served_entities", ()):
            known[entity["id"]] = [entity["name"], entity["entity_version"]]
    return {key: (names[0], names[1]) for key, names in known.items() if names[0] != FEEDBACK_ENTITY}


def _experiment_of(document: Document) -> str:
    """Where the traces are: by the tag, as deploy() writes it, or by a served entity's environment."""
    if tagged := next((tag.get("value") for tag in document["tags"] if tag["key"] == EXPERIMENT_TAG), None):
        return str(tagged)
    for entity in (document["config"] or {}).get("served_entities", ()):
        if found := (entity.get("environment_vars") or {}).get(EXPERIMENT_VARIABLE):
            return str(found)
    return ""
