"""Who gets in: modes of the state's files, names by which the workspace is asked, how long sessions and URLs live."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.local import LocalWorkspace
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.hosts import Hosts, names
from agent_deploy.local.files.storage import SIGNED_SECONDS, Files
from agent_deploy.local.private import close_state
from agent_deploy.local.workspace import WorkspaceError
from tests.workspace.conftest import Caller, http_client

UC = "/api/2.1/unity-catalog"


class TestModes:
    @pytest.fixture
    def open_umask(self) -> Iterator[None]:
        """Of a user whose files everybody may read and write."""
        before = os.umask(0)
        yield
        os.umask(before)

    def _open_to_others(self, folder: Path) -> dict[str, str]:
        found = [folder, *folder.rglob("*")]
        modes = {str(path.relative_to(folder)): path.lstat().st_mode for path in found if not path.is_symlink()}
        return {name: oct(mode) for name, mode in modes.items() if mode & 0o077}

    @pytest.mark.usefixtures("open_umask")
    def test_the_state_is_its_owners_whoever_made_the_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "state"
        folder.mkdir(mode=0o777)
        for _ in range(2):
            with LocalWorkspace(folder) as workspace, http_client(workspace.host, workspace.token) as http:
                volume = {"catalog_name": "main", "schema_name": "default", "name": "v", "volume_type": "MANAGED"}
                http.post(f"{UC}/volumes", json=volume)
                http.put("/api/2.0/fs/files/Volumes/main/default/v/a/b", content=b"x").raise_for_status()
                assert self._open_to_others(folder) == {}
            assert self._open_to_others(folder) == {}
            # As an earlier version left it, or somebody else's tool.
            for path in [folder, *folder.rglob("*")]:
                path.chmod(0o777 if path.is_dir() else 0o666)

    def test_only_what_is_the_workspaces_is_closed(self, tmp_path: Path) -> None:
        state, beside = tmp_path / "tables" / "t", tmp_path / "notes.txt"
        outside = tmp_path / "elsewhere"
        for path in (state, beside, outside):
            path.parent.mkdir(exist_ok=True)
            path.touch()
            path.chmod(0o755)
        (tmp_path / "tables" / "link").symlink_to(outside)
        (tmp_path / "models").symlink_to(tmp_path)
        close_state(tmp_path)
        assert [path.stat().st_mode & 0o777 for path in (state, beside, outside)] == [0o700, 0o755, 0o755]


class TestHosts:
    @pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]", "localhost:1", "127.0.0.1:65535"])
    def test_this_machine_is_asked_by_its_own_names(self, local_workspace: LocalWorkspace, name: str) -> None:
        assert httpx.get(f"{local_workspace.host}/_local/health", headers={"Host": name}).status_code == 200

    @pytest.mark.parametrize(
        "name",
        [
            *("evil.com", "evil.com:80", "127.0.0.1.evil.com", "localhost.evil.com", "evil.com#127.0.0.1", ""),
            *(
                "127.0.0.1@evil.com",
                "evil.com/127.0.0.1",
                "0.0.0.0",
                "127.1",
                "[::]",
                "127.0.0.1:x",
                "127.0.0.1, evil.com",
            ),
        ],
    )
    @pytest.mark.parametrize(
        "path", ["/_local/health", "/login", "/_signed/x", "/api/2.0/serving-endpoints", "/nowhere"]
    )
    def test_by_another_name_there_is_no_answer(self, local_workspace: LocalWorkspace, name: str, path: str) -> None:
        headers = {"Host": name, "Authorization": f"Bearer {local_workspace.token}"}
        answer = httpx.get(f"{local_workspace.host}{path}", headers=headers)
        assert answer.status_code in (421, 400)

    @given(st.text(st.characters(max_codepoint=255), max_size=30))
    def test_no_form_of_another_name_is_taken_for_ours(self, name: str) -> None:
        answers: list[int] = []

        async def answered(message: Any) -> None:
            answers.append(message.get("status", 0))

        async def passed(*_: Any) -> None:
            answers.append(200)

        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", name.encode("latin-1"))]}
        asyncio.run(Hosts(passed, {})(scope, None, answered))  # type: ignore[arg-type]
        is_ours = re.fullmatch(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]*)?", name, re.IGNORECASE)
        assert is_ours or answers[0] == 421

    def test_a_workspace_may_have_a_name_of_its_own(self) -> None:
        with LocalWorkspace(host_names=["workspace.test"]) as workspace:
            for name, status in (("workspace.test", 200), ("Workspace.Test:80", 200), ("x.workspace.test", 421)):
                answer = httpx.get(f"{workspace.host}/_local/health", headers={"Host": name})
                assert answer.status_code == status

    @pytest.mark.parametrize("given", ["a", ["a:1"], [5], {"a": 1}, ["a/b"], [""]])
    def test_what_is_no_name_is_refused(self, given: Any) -> None:
        with pytest.raises(ApiError, match="host_names"):
            names({"host_names": given})

    def test_and_such_a_workspace_does_not_start(self) -> None:
        with pytest.raises(WorkspaceError, match="host_names"), LocalWorkspace(host_names="a:1"):
            pass


class TestSessions:
    """A browser's session: opened by a token, and never longer there than that."""

    @pytest.fixture
    def user(self, admin: Caller, name: str) -> str:
        """A user's name."""
        admin.http.post("/api/2.0/preview/scim/v2/Users", json={"userName": f"{name}@x"}).raise_for_status()
        return f"{name}@x"

    def _token(self, admin: Caller, user: str, host: str, seconds: float | None = None) -> tuple[str, str]:
        """A token of the user's, and its id."""
        first = admin.http.post("/_local/tokens", json={"principal": user}).json()["token_value"]
        with http_client(host, first) as http:
            made = http.post("/api/2.0/token/create", json={"lifetime_seconds": seconds or 600}).json()
        return made["token_value"], made["token_info"]["token_id"]

    def _signed_in(self, host: str, **form: str) -> httpx.Client:
        browser = httpx.Client(base_url=host, timeout=30)
        assert browser.post("/login", data=form).status_code == 303
        assert _is_open(browser)
        return browser

    def test_it_ends_with_the_token_that_opened_it(
        self, admin: Caller, user: str, local_workspace: LocalWorkspace
    ) -> None:
        token, token_id = self._token(admin, user, local_workspace.host)
        other, _ = self._token(admin, user, local_workspace.host)
        browser, stays = (self._signed_in(local_workspace.host, token=each) for each in (token, other))
        with http_client(local_workspace.host, token) as http:
            code = http.post("/_local/sign-in-codes").json()["code"]
            unused = http.post("/_local/sign-in-codes").json()["code"]
            linked = self._signed_in(local_workspace.host, code=code)
            http.post("/api/2.0/token/delete", json={"token_id": token_id}).raise_for_status()
        assert [_is_open(each) for each in (browser, linked, stays)] == [False, False, True]
        late = httpx.Client(base_url=local_workspace.host)
        late.post("/login", data={"code": unused})
        assert not _is_open(late)

    def test_it_ends_when_the_token_expires(
        self, admin: Caller, user: str, local_workspace: LocalWorkspace, until: Callable[[Callable[[], bool]], None]
    ) -> None:
        token, _ = self._token(admin, user, local_workspace.host, seconds=2)
        browser = self._signed_in(local_workspace.host, token=token)
        until(lambda: not _is_open(browser))

    def test_signing_in_as_another_user_ends_the_session_before(
        self, admin: Caller, user: str, local_workspace: LocalWorkspace
    ) -> None:
        token, token_id = self._token(admin, admin.name, local_workspace.host)
        browser = self._signed_in(local_workspace.host, token=token)
        before = httpx.Client(base_url=local_workspace.host, cookies=dict(browser.cookies))
        page = browser.get("/login").text
        csrf = re.search(r'name="csrf_token" value="([0-9a-f]+)"', page) or re.search(r'content="([0-9a-f]{64})"', page)
        assert csrf
        answer = browser.post("/login/as", data={"user": user, "csrf_token": csrf[1]})
        assert answer.status_code == 303
        assert _is_open(browser)
        assert not _is_open(before), "the administrator's own session is over"
        admin.http.delete(f"/api/2.0/token-management/tokens/{token_id}").raise_for_status()
        assert not _is_open(browser), "the user's was opened by the administrator's token"

    def test_signing_in_again_ends_the_session_before(
        self, admin: Caller, user: str, local_workspace: LocalWorkspace
    ) -> None:
        token, _ = self._token(admin, user, local_workspace.host)
        browser = self._signed_in(local_workspace.host, token=token)
        before = httpx.Client(base_url=local_workspace.host, cookies=dict(browser.cookies))
        assert browser.post("/login", data={"token": token}).status_code == 303
        assert (_is_open(browser), _is_open(before)) == (True, False)

    def test_who_is_no_administrator_any_more_is_no_other_user_either(
        self, admin: Caller, user: str, name: str, local_workspace: LocalWorkspace
    ) -> None:
        groups = admin.http.get("/api/2.0/preview/scim/v2/Groups", params={"filter": 'displayName eq "admins"'}).json()
        group = groups["Resources"][0]["id"]
        second = admin.http.post("/api/2.0/preview/scim/v2/Users", json={"userName": f"{name}-2@x"}).json()
        member = {"op": "add", "path": "members", "value": [{"value": second["id"]}]}
        admin.http.patch(f"/api/2.0/preview/scim/v2/Groups/{group}", json={"Operations": [member]}).raise_for_status()
        token, _ = self._token(admin, f"{name}-2@x", local_workspace.host)
        browser = self._signed_in(local_workspace.host, token=token)
        page = browser.get("/login").text
        csrf = re.search(r'value="([0-9a-f]{64})"', page) or re.search(r'content="([0-9a-f]{64})"', page)
        assert csrf
        assert browser.post("/login/as", data={"user": user, "csrf_token": csrf[1]}).status_code == 303
        assert _is_open(browser)
        gone = {"op": "remove", "path": f'members[value eq "{second["id"]}"]'}
        admin.http.patch(f"/api/2.0/preview/scim/v2/Groups/{group}", json={"Operations": [gone]}).raise_for_status()
        assert not _is_open(browser)


def _is_open(browser: httpx.Client) -> bool:
    """Whether the browser's cookie still opens a session."""
    answer = browser.get("/ml/deployments")
    assert answer.status_code in (200, 303, 307, 302, 401)
    return answer.status_code == 200 and "Account of" in answer.text


@pytest.mark.parametrize("seconds", [1.0, 60.0, 3600.0, 10**9])
def test_a_signed_url_lives_for_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    workspace = Workspace.open(tmp_path / "state")
    workspace.principals.bootstrap()
    files = Files(workspace)
    files.mount("Mount", lambda _principal, segments, _write: tmp_path.joinpath(*segments))
    admin = workspace.principals.principal(workspace.principals.admin_id())
    token = files.sign(admin, "/Mount/a", "GET", seconds).rpartition("/")[2]
    assert files.open_signed(token, "GET") == tmp_path / "a"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + min(seconds, SIGNED_SECONDS) + 1)
    with pytest.raises(ApiError, match="expired"):
        files.open_signed(token, "GET")
    workspace.store.close()
    assert SIGNED_SECONDS <= 15 * 60


def test_a_client_may_ask_for_more_and_gets_minutes(admin: Caller, local_workspace: LocalWorkspace, name: str) -> None:
    volume = {"catalog_name": "main", "schema_name": "default", "name": name, "volume_type": "MANAGED"}
    admin.http.post(f"{UC}/volumes", json=volume).raise_for_status()
    path = f"/Volumes/main/default/{name}/a"
    admin.http.put(f"/api/2.0/fs/files{path}", content=b"x").raise_for_status()
    later = (datetime.now(timezone.utc) + timedelta(days=7)).isoformat()
    query = {"path": path, "expire_time": later}
    url = admin.http.post("/api/2.0/fs/create-download-url", params=query).json()["url"]
    assert httpx.get(url).content == b"x"
