"""The team's page and the deployments' page: what they show, to whom, and how they can be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from agent_deploy.local import LocalWorkspace
from tests.browser import accessibility
from tests.browser.conftest import Agent, User, Visitor, ask, eventually, picture
from tests.workspace.serving.conftest import ok, register, served

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def admin(local_workspace: LocalWorkspace, admin_http: httpx.Client) -> User:
    """The administrator."""
    return User("admin@local", local_workspace.token, admin_http)


@pytest.fixture(scope="module")
def rated(deploy: Callable[..., Agent], new_user: Callable[..., User], models: Path) -> tuple[Agent, User]:
    """An agent of whose two versions one was rated well and the other badly, by users who asked over the API."""
    agent = deploy("rated")
    user = new_user("rita", agent.name)
    _ask_and_rate(agent, user, "How many holidays?", "positive")
    _ask_and_rate(agent, user, "May I carry them over?", "positive")
    register(agent.endpoint.http, agent.model, models / "handbook")
    config = agent.endpoint.get()["config"]
    feedback = next(entity for entity in config["served_entities"] if entity["name"] == "feedback")
    kept = {key: feedback[key] for key in ("name", "entity_name", "entity_version", "workload_size")}
    second = served(agent.model, "2", "rated_2", workload_size="Small")
    routes = [
        {"served_model_name": "rated_2", "traffic_percentage": 100},
        {"served_model_name": "feedback", "traffic_percentage": 0},
    ]
    ok(agent.endpoint.put(second, {**kept, "scale_to_zero_enabled": False}, routes=routes))
    agent.endpoint.settled()
    _ask_and_rate(agent, user, "Who books travel?", "negative", "It talks about holidays.")
    assert agent.endpoint.post({"input": [{"role": "user", "content": "fail"}]}).status_code == 500
    return agent, user


def _ask_and_rate(agent: Agent, user: User, question: str, value: str, comment: str = "") -> None:
    url = f"/serving-endpoints/{agent.name}"
    body = {"input": [{"role": "user", "content": question}], "databricks_options": {"return_trace": True}}
    request_id = ok(user.http.post(f"{url}/invocations", json=body))["databricks_output"]["databricks_request_id"]
    text = {"ratings": {"answer_correct": {"value": value}}} | ({"free_text_comment": comment} if comment else {})
    record: dict[str, object] = {"request_id": request_id, "source": {"id": user.name, "type": "human"}}
    record |= {"text_assessments": [text], "retrieval_assessments": None}
    ok(user.http.post(f"{url}/served-models/feedback/invocations", json={"dataframe_records": [record]}))


def _team(page: Page, agent: Agent) -> Page:
    """The page, once the rows are in the table."""
    address = f"{page.url.split('/ml/')[0]}/ml/review-v2/team?endpoint={agent.name}"

    def all_there() -> bool:
        page.goto(address)
        return page.get_by_role("heading", name="4 conversations").count() == 1

    eventually(all_there)
    return page


def test_conversations_numbers_and_filters(
    rated: tuple[Agent, User], admin: User, visit: Callable[..., Visitor]
) -> None:
    agent, user = rated
    page = _team(visit(admin).page("/ml/deployments"), agent)
    rows = page.get_by_role("table", name="By version").get_by_role("row")
    expect(rows.nth(1)).to_contain_text("2")
    assert [cell.inner_text() for cell in rows.nth(1).get_by_role("cell").all()][-3:] == ["2", "0", "100 %"]
    assert [cell.inner_text() for cell in rows.nth(2).get_by_role("cell").all()][-3:] == ["0", "1", "0 %"]
    failed = page.get_by_role("img", name="Failed requests by version. version 1: 0 %; version 2: 50 %.")
    expect(failed).to_be_visible()
    expect(page.get_by_role("img", name="Ratings by version. version 1: 2 : 0; version 2: 0 : 1.")).to_be_visible()
    picture(page, "team")

    for field, value, count in (("Version", "1", 2), ("Rating", "negative", 1), ("State", "failed", 1)):
        page.get_by_label(field, exact=True).select_option(value)
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_role("heading", name=f"{count} conversation")).to_be_visible()
        page.get_by_role("link", name="Clear").click()
    page.get_by_label("User", exact=True).select_option(user.name)
    page.get_by_label("Text").fill("carry them")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", name="1 conversation")).to_be_visible()
    page.get_by_label("Until (UTC)").fill("2020-01-01")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("Nothing was found: change the filters.")).to_be_visible()

    page.get_by_role("link", name="Clear").click()
    page.get_by_role("link", name="Who books travel?").click()
    turn = page.get_by_role("article")
    expect(turn).to_contain_text("rated_2, version 2")
    expect(turn.get_by_role("row", name="answer_correct")).to_contain_text("negative")
    expect(turn.get_by_role("row", name="comment")).to_contain_text("It talks about holidays.")
    expect(turn.get_by_text("Trace", exact=True)).to_be_visible()


def test_who_may_read_the_table_sees_the_page(
    rated: tuple[Agent, User], admin: User, new_user: Callable[..., User], visit: Callable[..., Visitor]
) -> None:
    agent, _ = rated
    reader = new_user("rob", agent.name, level="CAN_VIEW")
    catalog, schema, name = agent.model.split(".")
    address = f"/ml/review-v2/team?endpoint={agent.name}"
    page = visit(reader).page(address)
    expect(page.get_by_role("main")).to_contain_text("User does not have")
    for kind, full_name, privilege in (
        ("catalog", catalog, "USE_CATALOG"),
        ("schema", f"{catalog}.{schema}", "USE_SCHEMA"),
        ("table", f"{catalog}.{schema}.{name}_payload", "SELECT"),
    ):
        change = {"changes": [{"principal": reader.name, "add": [privilege]}]}
        ok(admin.http.patch(f"/api/2.1/unity-catalog/permissions/{kind}/{full_name}", json=change))
    page.reload()
    expect(page.get_by_role("heading", name=agent.name)).to_be_visible()
    expect(page.get_by_role("table", name="By version")).to_be_visible()


def test_deployments_show_what_one_may_see(
    rated: tuple[Agent, User], admin: User, new_user: Callable[..., User], visit: Callable[..., Visitor]
) -> None:
    agent, user = rated
    tag = {"add_tags": [{"key": "agent_deploy_stack", "value": "agents/dev/docs"}, {"key": "team", "value": "hr"}]}
    ok(admin.http.patch(f"{agent.endpoint.url}/tags", json=tag))
    page = visit(user).page("/ml/deployments")
    card = page.get_by_role("region", name=agent.name, exact=True)
    expect(card).to_contain_text("agents/dev/docs")
    row = card.get_by_role("row", name="rated_2")
    for text in ("100 %", "running", "Small, CPU", "no, always runs", "admin@local"):
        expect(row).to_contain_text(text)
    expect(card.get_by_role("link", name="Team")).to_have_count(0)
    picture(page, "deployments")
    card.get_by_role("link", name=agent.name).click()
    expect(page.get_by_text("CAN_QUERY")).to_be_visible()
    expect(page.get_by_text("team=hr")).to_be_visible()
    assert page.goto(f"{page.url}/").status == 200  # type: ignore[union-attr]

    nobody = visit(new_user("nils")).page("/ml/deployments")
    expect(nobody.get_by_text("There is no serving endpoint that you may see.")).to_be_visible()
    assert nobody.goto(page.url).status == 403  # type: ignore[union-attr]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_used_on_a_phone_and_with_a_screen_reader(
    rated: tuple[Agent, User], admin: User, visit: Callable[..., Visitor], scheme: str
) -> None:
    agent, _ = rated
    visitor = visit(admin, color_scheme=scheme, **PHONE)
    page = visitor.page(agent.chat)
    turn = ask(page, "How many holidays? " + "x" * 300)
    expect(turn).to_contain_text("thirty days")
    for fold in ("Sources (2)", "Trace", "Rate in detail"):
        turn.get_by_text(fold, exact=True).click()
    picture(page, f"chat-phone-{scheme}")
    _check(page)
    page.get_by_role("button", name="Conversations", exact=True).click()
    expect(page.get_by_role("link", name="How many holidays?").first).to_be_visible()
    _check(page)
    team = f"/ml/review-v2/team?endpoint={agent.name}"
    for path in (team, "/ml/deployments", f"/ml/endpoints/{agent.name}", "/login", "/ml/nothing"):
        page.goto(visitor.host + path)
        _check(page)
        picture(page, f"{path.split('/')[2 if 'endpoints' in path else -1].split('?')[0]}-phone-{scheme}")
    page.goto(visitor.host + team)
    page.get_by_role("link", name="Who books travel?").click()
    expect(page.get_by_role("article")).to_contain_text("handbook")
    _check(page)


def _check(page: Page) -> None:
    assert accessibility.problems(page) == []
    assert accessibility.overflow(page) <= 0, page.url


def test_a_keyboard_is_enough(agent: Agent, new_user: Callable[..., User], visit: Callable[..., Visitor]) -> None:
    user = new_user("kim", agent.name)
    page = visit().page(agent.chat)
    expect(page.get_by_label("Access token")).to_be_visible()
    _tab_to(page, "Access token")
    page.keyboard.insert_text(user.token)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()
    expect(page.get_by_label("Your question")).to_be_focused()
    page.keyboard.type("How many holidays?")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("And when?")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article")).to_contain_text("thirty days")
    expect(page.locator("#announcer")).to_contain_text("Answer: From the")
    expect(page.get_by_label("Your question")).to_be_focused()
    _tab_to(page, "Good: the answer", back=True)
    page.keyboard.press("Enter")
    expect(page.get_by_role("article").get_by_role("status")).to_have_text("Rating saved. Thank you.")
    _tab_to(page, "Comment")
    page.keyboard.type("Fine.")
    _tab_to(page, "Send rating")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article").get_by_role("status")).to_have_text("Rating updated.")


def _tab_to(page: Page, name: str, back: bool = False) -> None:
    for _ in range(60):
        if accessibility.focused(page) == name:
            return
        page.keyboard.press("Shift+Tab" if back else "Tab")
    raise AssertionError(f"the focus does not come to {name!r}")
