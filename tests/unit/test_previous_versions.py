"""Versions kept for a rollback: the newest that left, never more than asked for, never another model's."""

from agent_deploy.rules.previous_versions import check_keep_previous, kept

MODEL = "main.default.qa"


def served(*versions: int, model: str = MODEL) -> dict[str, dict[str, str]]:
    return {f"qa_{version}": {"entityName": model, "entityVersion": str(version)} for version in versions}


def test_the_version_that_had_the_traffic_is_kept_first() -> None:
    before = served(3, 4, 10)
    assert list(kept(before, {"qa_4": 100}, MODEL, ["qa_11"], 1)) == ["qa_4"]
    assert list(kept(before, {"qa_4": 100}, MODEL, ["qa_11"], 2)) == ["qa_4", "qa_10"]
    assert list(kept(before, {}, MODEL, ["qa_11"], 1)) == ["qa_10"]


def test_running_again_keeps_the_same() -> None:
    assert list(kept(served(4, 5), {"qa_5": 100, "qa_4": 0}, MODEL, ["qa_5"], 1)) == ["qa_4"]


def test_a_rollback_keeps_the_version_that_it_leaves() -> None:
    assert list(kept(served(4, 5), {"qa_5": 100}, MODEL, ["qa_4"], 1)) == ["qa_5"]


def test_nothing_is_kept_unasked_nor_of_other_models_nor_beyond_the_platforms_limit() -> None:
    assert kept(served(4), {}, MODEL, ["qa_5"], 0) == {}
    assert kept(served(1, model="main.default.feedback"), {}, MODEL, ["qa_5"], 3) == {}
    declared = [f"qa_{version}" for version in range(1, 16)]
    assert kept(served(99), {}, MODEL, declared, 5) == {}


def test_what_is_no_number_of_versions_is_told() -> None:
    assert check_keep_previous(None) == check_keep_previous(2.0) == []
    assert all(check_keep_previous(value) for value in (-1, 15, 1.5, True, "1"))
