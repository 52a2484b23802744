"""Names as deploy() gives them, and as the platform accepts them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.rules import names

Y43 = "y" * 43


@pytest.mark.parametrize(
    ("model", "endpoint", "entity"),
    [
        ("main.default.my_agent", "agents_main-default-my_agent", "main-default-my_agent_12"),
        ("main.default.name_", "agents_main-default-name", "main-default-name_12"),
        (f"main.default.{Y43}-zz", f"agents_main-default-{Y43}", f"main-default-{Y43}-zz_12"),
        ("Main.Default.UPPER", "agents_Main-Default-UPPER", "Main-Default-UPPER_12"),
    ],
)
def test_generated_names_are_those_of_deploy(model: str, endpoint: str, entity: str) -> None:
    assert names.endpoint_name(model) == endpoint
    assert names.served_entity_name(model, "12") == entity


def test_long_names_are_cut_to_the_platforms_limit() -> None:
    model = f"a.b.{'c' * 74}"
    assert len(names.endpoint_name(model)) == len(names.served_entity_name(model, "12")) == names.MAX_NAME


def test_table_prefix_is_the_model_and_then_the_next_free() -> None:
    assert names.table_prefix("main.default.qa") == "qa"
    assert names.table_prefix("main.default.qa", 2) == "qa_2"
    assert len(names.table_prefix(f"a.b.{'c' * 80}", 19)) == names.MAX_NAME


@pytest.mark.parametrize("model", ["qa", "default.qa", "a.b.c.d", "a..c", "a.b.c d", "a/b.c.d", 7, None])
def test_a_model_name_that_is_not_of_three_levels_is_told(model: object) -> None:
    [problem] = names.check_model_name("model_name", model)
    assert problem.field == "model_name"
    assert problem.value == model
    assert "catalog.schema.model" in str(problem)


@pytest.mark.parametrize("name", ["", "-a", "a_", "a b", "a.b", "ä", "x" * 64])
def test_an_endpoint_name_that_the_platform_rejects_is_told(name: str) -> None:
    assert names.check_endpoint_name("endpoint_name", name)


LEVEL = st.text("abcXYZ019_", min_size=1, max_size=30).filter(lambda level: level[0].isalnum())


@given(LEVEL, LEVEL, LEVEL, st.integers(1, 9999))
def test_generated_names_are_accepted_whenever_the_levels_are_plain(c: str, s: str, m: str, version: int) -> None:
    model = f"{c}.{s}.{m}"
    assert names.check_endpoint_name("x", names.endpoint_name(model)) == []
    assert names.check_endpoint_name("x", names.served_entity_name(model, str(version))) == []
