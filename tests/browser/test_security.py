"""Nothing that an agent or a user wrote is executed, nobody sees another's data, no other page acts for a user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import expect
from typer.testing import CliRunner

from agent_deploy.cli.app import app
from agent_deploy.local import LocalWorkspace
from agent_deploy.local.pages.links import sign_in_link
from tests.browser.conftest import Agent, User, Visitor, ask

ATTACKS = (
    "<script>attacked('script')</script>",
    "<img src=x onerror=\"attacked('image')\">",
    "<svg onload=attacked('svg')><iframe src=\"javascript:attacked('frame')\"></iframe>",
    "[click](javascript:attacked('link')) <a href=\"javascript:attacked('anchor')\">x</a>",
    "![x](x\" onerror=\"attacked('markdown')) `</code><script>attacked('code')</script>`",
    "| a |\n|---|\n| <img src=x onerror=attacked('cell')> |",
    "```\n</code></pre><script>attacked('fence')</script>\n```",
    "{{ 7 * 7 }} \"><script>attacked('attribute')</script> ';attacked('quote');//",
)


@pytest.fixture
def reviewer(agent: Agent, new_user: Callable[..., User]) -> User:
    """Somebody who may chat with the agent."""
    return new_user("mallory", agent.name)


def test_scripts_in_questions_answers_sources_and_ratings_stay_text(
    agent: Agent,
    reviewer: User,
    visit: Callable[..., Visitor],
    admin_http: httpx.Client,
    local_workspace: LocalWorkspace,
) -> None:
    all_of_them = "\n\n".join(ATTACKS)
    visitor = visit(reviewer)
    page = visitor.page(agent.chat)
    # The agent says it again: in its answer, in a source, in its trace.
    turn = ask(page, f"say:{all_of_them}")
    expect(turn.locator(".answer-text")).to_contain_text("attacked('quote')")
    turn.get_by_text("Sources (2)").click()
    turn.get_by_text("Trace", exact=True).click()
    turn.get_by_text("search_handbook").click()
    turn.get_by_text("Rate in detail").click()
    turn.get_by_label("Comment").fill(all_of_them)
    turn.get_by_label("Suggested answer").fill(all_of_them)
    turn.get_by_role("button", name="Good: the answer").click()
    expect(turn.get_by_role("status")).to_have_text("Rating saved. Thank you.")
    assert_inert(page)
    page.reload()
    expect(page.get_by_role("article")).to_contain_text("attacked('quote')")
    assert_inert(page)

    # What the team sees of it, and the filters, which come back in the page.
    team = visit(User("admin@local", local_workspace.token, admin_http))
    page = team.page(f"/ml/review-v2/team?endpoint={agent.name}&user={reviewer.name}")
    page.get_by_label("Text").fill(ATTACKS[0])
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_label("Text")).to_have_value(ATTACKS[0])
    assert_inert(page)
    page.get_by_role("link", name="say:").click()
    expect(page.get_by_role("article")).to_contain_text("attacked('quote')")
    assert_inert(page)
    page.goto(f"{local_workspace.host}/ml/{ATTACKS[0]}")
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    assert_inert(page)


def assert_inert(page: Any) -> None:
    """No element that came out of text: the visitor's own check tells whether a script ran."""
    main = page.get_by_role("main")
    for made in ("script", "iframe", "[onerror]", "[onload]", "a[href^='javascript']", "img:not([src^='/ml/static/'])"):
        assert main.locator(made).count() == 0, made


def test_another_users_conversations_and_ratings_are_not_shown(
    agent: Agent, reviewer: User, new_user: Callable[..., User], visit: Callable[..., Visitor]
) -> None:
    page = visit(reviewer).page(agent.chat)
    expect(ask(page, "My secret question")).to_contain_text("thirty days")
    conversation = parse_qs(urlsplit(page.url).query)["conversation"][0]

    other = new_user("oscar", agent.name)
    page = visit(other).page(f"{agent.chat}&conversation={conversation}")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()
    expect(page.get_by_text("None yet: ask something.")).to_be_visible()
    assert "secret" not in page.content()
    for path in (
        f"/_local/review/conversations/{conversation}",
        f"/_local/review/logged?endpoint={agent.name}&conversation={conversation}",
    ):
        answer = other.http.get(path)
        assert answer.status_code in (403, 404), answer.text
        assert "secret" not in answer.text
    page.goto(f"{page.url.split('/ml/')[0]}/ml/review-v2/team?endpoint={agent.name}")
    expect(page.get_by_role("heading", name="You may not see this")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("User does not have")


def test_only_pages_of_the_workspace_act_for_a_user(
    agent: Agent, reviewer: User, visit: Callable[..., Visitor], local_workspace: LocalWorkspace
) -> None:
    visitor = visit(reviewer)
    (cookie,) = visitor.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    body = {"input": [{"role": "user", "content": "forged"}]}
    path = f"{local_workspace.host}/browser/serving-endpoints/{agent.name}/invocations"
    own = {"Cookie": f"{cookie['name']}={cookie['value']}"}

    def status(url: str, **headers: str) -> int:
        return httpx.post(url, json=body, headers={**own, **headers}, timeout=60).status_code

    page = visitor.page(agent.chat)
    token = page.locator("meta[name=csrf-token]").get_attribute("content") or ""
    assert status(path) == 403
    assert status(path, **{"X-CSRF-Token": "0" * 64}) == 403
    assert status(path, **{"X-CSRF-Token": token, "Origin": "http://127.0.0.1:1"}) == 403
    assert status(path, **{"X-CSRF-Token": token, "Sec-Fetch-Site": "same-site"}) == 403
    assert status(path, **{"X-CSRF-Token": token, "Origin": local_workspace.host}) == 200
    # The session opens what the pages need and nothing else, and is no access token.
    for closed in ("/browser/api/2.0/token/create", "/browser/_local/tokens", "/browser/api/2.0/secrets/list"):
        assert status(f"{local_workspace.host}{closed}", **{"X-CSRF-Token": token}) == 403
    bearer = {"Authorization": f"Bearer {cookie['value']}"}
    assert httpx.get(f"{local_workspace.host}/api/2.0/serving-endpoints", headers=bearer).status_code == 401

    page.get_by_label("Account of").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()
    assert status(path, **{"X-CSRF-Token": token}) == 401


def test_a_sign_in_link_works_once_and_is_not_kept_in_the_address(
    agent: Agent, reviewer: User, visit: Callable[..., Visitor], local_workspace: LocalWorkspace
) -> None:
    command = ["local", "sign-in", "--folder", str(local_workspace.folder), "--user", reviewer.name]
    printed = CliRunner().invoke(app, [*command, "--page", agent.chat])
    assert printed.exit_code == 0, printed.output
    link = printed.output.strip()
    visitor = visit()
    page = visitor.context.new_page()
    page.goto(link)
    expect(page.get_by_role("heading", name=agent.name)).to_be_visible()
    code = link.partition("#code=")[2]
    assert not any(code in url for url in visitor.requests)
    assert code not in page.url
    again = visit().context.new_page()
    again.goto(link)
    expect(again.get_by_role("alert")).to_contain_text("was used already")
    assert code not in local_workspace.log
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        sign_in_link(local_workspace.host, reviewer.token, "admin@local")


def test_the_administrator_opens_a_users_pages_with_that_users_privileges(
    agent: Agent,
    reviewer: User,
    visit: Callable[..., Visitor],
    admin_http: httpx.Client,
    local_workspace: LocalWorkspace,
) -> None:
    visitor = visit(User("admin@local", local_workspace.token, admin_http))
    page = visitor.page("/login")
    page.get_by_label("User").select_option(reviewer.name)
    page.get_by_role("button", name="Sign in as this user").click()
    page.get_by_label(f"Account of {reviewer.name}").click()
    expect(page.get_by_text("Opened by admin@local")).to_be_visible()
    page.goto(f"{local_workspace.host}/ml/review-v2/team?endpoint={agent.name}")
    expect(page.get_by_role("heading", name="You may not see this")).to_be_visible()
    assert page.goto(f"{local_workspace.host}/login")
    expect(page.get_by_label("User")).to_have_count(0)


def test_a_wrong_token_and_a_foreign_destination_are_refused(
    visit: Callable[..., Visitor], reviewer: User, local_workspace: LocalWorkspace
) -> None:
    page = visit().page("/login?next=https://example.com/ml/")
    page.get_by_label("Access token").fill("dapi-of-nobody")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("does not know the access token")
    page.get_by_label("Access token").fill(reviewer.token)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Deployments")).to_be_visible()
    assert page.url.startswith(local_workspace.host)
