"""From the arguments of a deployment to served entities and traffic; every mistake names field, value and remedy."""

from typing import Any

import pytest

from agent_deploy.rules import deployment as rules
from agent_deploy.rules.argument_checks import check_arguments, resolved_duplicates
from agent_deploy.rules.declaration import Deployment, declared
from agent_deploy.rules.values import Unknown

MODEL = "main.default.qa"


def problems(**args: Any) -> str:
    return "\n".join(str(problem) for problem in check_arguments({"model_name": MODEL, **args}))


def plan(**args: Any) -> Deployment:
    return declared({"model_name": MODEL, **args})


def test_one_version_has_all_the_traffic() -> None:
    deployment = plan(model_version="3")
    assert deployment.endpoint_name == "agents_main-default-qa"
    assert rules.traffic(deployment, ["3"]) == {"main-default-qa_3": 100}
    assert rules.served_entities(deployment, ["3"]) == {
        "main-default-qa_3": {
            "entity_name": MODEL,
            "entity_version": "3",
            "workload_size": "Small",
            "workload_type": "CPU",
            "scale_to_zero_enabled": False,
        }
    }


def test_no_version_is_an_endpoint_ahead_of_its_first() -> None:
    assert problems() == problems(versions=[]) == ""
    assert plan().versions == ()


def test_versions_inherit_what_they_do_not_say() -> None:
    own = {"workload_size": "Large", "workload_type": "GPU_SMALL", "scale_to_zero": False}
    versions = [
        {"version": "3", "traffic_percentage": 90.0},
        {"alias": "next", "traffic_percentage": 10, **own},
    ]
    for_all = {"scale_to_zero": True, "workload_size": "Medium", "workload_type": "GPU_MEDIUM"}
    args = {"versions": versions, **for_all, "instance_profile_arn": "arn:aws:iam::123456789012:instance-profile/x"}
    assert problems(**args) == ""
    deployment = plan(**args)
    entities = rules.served_entities(deployment, ["3", "4"])
    three, four = entities["main-default-qa_3"], entities["main-default-qa_4"]
    said = ("workload_size", "workload_type", "scale_to_zero_enabled")
    assert [three[key] for key in said] == ["Medium", "GPU_MEDIUM", True]
    assert [four[key] for key in said] == ["Large", "GPU_SMALL", False]
    assert three["instance_profile_arn"] == "arn:aws:iam::123456789012:instance-profile/x"
    assert rules.traffic(deployment, ["3", "4"]) == {"main-default-qa_3": 90, "main-default-qa_4": 10}


def test_the_feedback_model_is_opt_out_and_takes_one_of_the_places() -> None:
    args = {"versions": [{"version": str(n), "traffic_percentage": 100 * (n == 1)} for n in range(15)]}
    assert problems(**args, feedback_model=False) == ""
    assert plan(model_version="1").feedback_model == "main.default.feedback"
    assert plan(model_version="1", feedback_model=False).feedback_model == ""
    assert plan().feedback_model == ""


def test_traffic_may_be_given_by_version_or_alias() -> None:
    args = {"versions": [{"version": "3"}, {"alias": "next"}], "traffic": {"3": 100, "next": 0}}
    assert problems(**args) == ""
    assert rules.traffic(plan(**args), ["3", "4"]) == {"main-default-qa_3": 100, "main-default-qa_4": 0}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"model_name": None}, "model_name: expected it to be given: a Unity Catalog name of three levels"),
        (
            {"model_name": "_dev.default.qa", "endpoint_name": "qa"},
            "model_name '_dev.default.qa': expected a name after which a served entity can be named, here _dev",
        ),
        ({"model_name": "main.default.ünï"}, "first and the last a letter or digit. Register the model under another"),
        ({"model_name": "qa"}, "model_name 'qa': expected a Unity Catalog name of three levels"),
        ({"model_version": "1", "versions": [{"version": "2"}]}, "either model_version or versions"),
        ({"model_version": "champion"}, "model_version 'champion': expected the number of a model version"),
        (
            {"versions": [{"version": "1", "alias": "x"}]},
            "versions[0] 'version 1 and alias x': expected either a version number or an alias. Leave one of them out",
        ),
        ({"versions": [{}]}, "versions[0]: expected either a version number or an alias. Write {"),
        ({"workload_size": "small"}, "one of Small, Medium, Large. Names are case-sensitive: write 'Small'"),
        ({"versions": [{"version": "1"}, {"version": "1"}]}, "versions '1': expected each version once"),
        ({"versions": [{"version": "1"}, {"version": "2"}]}, "how the requests are shared among versions 1, 2"),
        ({"versions": [{"version": str(n)} for n in range(16)]}, "versions 16: expected at most 15"),
        (
            {"versions": [{"version": str(n), "traffic_percentage": 100 * (n == 1)} for n in range(15)]},
            "15 served entities on an endpoint, the feedback model included. Take old versions or feedback_model out",
        ),
        (
            {"model_name": "main.default.Feedback", "model_version": "1"},
            "another name, as this is the one of the schema",
        ),
        ({"versions": [{"version": "1"}], "traffic": {"1": 90, "feedback": 10}}, "a version that is served (1)"),
        ({"model_version": "1", "workload_size": "Gigantic"}, "workload_size 'Gigantic': expected one of Small"),
        ({"model_version": "1", "workload_type": "TPU"}, "workload_type 'TPU': expected one of CPU"),
        ({"versions": [{"version": "1", "workload_size": "small"}]}, "versions[0].workload_size 'small'"),
        ({"versions": [{"version": "1", "environment": {"a": "1"}}]}, "versions[0].environment key 'a'"),
        (
            {"experiment_id": "77", "environment": {"MLFLOW_EXPERIMENT_ID": "88"}},
            "environment['MLFLOW_EXPERIMENT_ID'] '88': expected 77, as experiment_id says. Take one of them out",
        ),
        ({"endpoint_name": "no spaces"}, "endpoint_name 'no spaces': expected 1 to 63 letters"),
        ({"permissions": [{"level": "CAN_RUN", "group_name": "x"}]}, "permissions[0].level 'CAN_RUN': expected one of"),
        ({"permissions": [{"level": "CAN_VIEW"}]}, "permissions[0]: expected exactly one of user_name"),
    ],
)
def test_a_mistake_names_field_value_and_what_was_expected(args: dict[str, Any], said: str) -> None:
    assert said in problems(**args)


@pytest.mark.parametrize(
    ("traffic", "said"),
    [
        (
            {"1": 60, "2": 30},
            "traffic 90: expected percentages that sum to 100. They are 1: 60, 2: 30. Add 10 to one of them",
        ),
        (
            {"1": 60, "2": 50},
            "traffic 110: expected percentages that sum to 100. They are 1: 60, 2: 50. Take 10 from them",
        ),
        ({"1": 100, "3": 0}, "traffic['3'] 0: expected a version that is served (1, 2)"),
        ({"1": 101, "2": -1}, "traffic['1'] 101: expected a whole number from 0 to 100"),
        ({"1": 50.5, "2": 49.5}, "traffic['1'] 50.5: expected a whole number"),
        ({"1": "all", "2": 0}, "traffic['1'] 'all': expected a whole number"),
        (
            {"1": 90, "2": None},
            "traffic['2']: expected a whole number from 0 to 100. Give it one (config.get_int() has",
        ),
    ],
)
def test_traffic_that_does_not_add_up_is_told(traffic: dict[str, Any], said: str) -> None:
    assert said in problems(versions=[{"version": "1"}, {"version": "2"}], traffic=traffic)


def test_an_instance_profile_is_an_arn() -> None:
    assert "instance_profile_arn 'agents': expected the ARN of an instance profile" in problems(
        instance_profile_arn="agents"
    )
    assert problems(instance_profile_arn="arn:aws-us-gov:iam::123456789012:instance-profile/path/agents") == ""


@pytest.mark.parametrize("name", ["create", "update", "delete"])
def test_a_timeout_is_a_duration_as_pulumi_takes_it(name: str) -> None:
    for duration in ("45m", "1h30m", "90s", "1.5h", ".5h", "+1m", "1h0m0.5s", "250ms", "10us", "10µs", "1ns"):
        assert problems(timeouts={name: duration}) == "", duration
    for other in ("45 minutes", "45", "", "1d", "45M", "-5m", "0s", "0", "m", ".s", "1h 30m", "٤m", 45, True):
        said = f'timeouts.{name} {other!r}: expected a duration above zero of hours, minutes and seconds, such as "45m"'
        assert said in problems(timeouts={name: other})


def test_all_mistakes_are_told_at_once() -> None:
    text = problems(model_name="qa", workload_size="x", environment={"a": "1"}, model_version="y")
    assert len(text.splitlines()) == 4


def test_a_version_may_not_hold_a_credential_in_plain_text_either() -> None:
    text = problems(auth="NONE", versions=[{"version": "1", "environment": {"DATABRICKS_TOKEN": "dapi-hush"}}])
    assert "versions[0].environment['DATABRICKS_TOKEN']: expected a secret, not plain text" in text
    assert "auth 'NONE'" in text
    assert "hush" not in text
    own = [{"version": "1", "environment": {"DATABRICKS_CLIENT_ID": "x"}}]
    assert "not to be set with auth = SERVICE_PRINCIPAL" in problems(auth="SERVICE_PRINCIPAL", versions=own)


def test_an_alias_that_is_a_version_already_there_is_told() -> None:
    deployment = plan(versions=[{"version": "3"}, {"alias": "x"}], traffic={"3": 1, "x": 99})
    [problem] = resolved_duplicates(deployment, ["3", "3"])
    assert "versions[1] 'x': expected another version than versions[0] (3), which is version 3 as well" in str(problem)


def test_what_is_not_known_yet_is_passed_over_and_what_is_made_of_it_is_not_known_either() -> None:
    late = Unknown()
    args: dict[str, Any] = {"model_name": late, "versions": [{"version": late, "workload_size": late}]}
    args |= {"traffic": late, "tags": {"team": late}, "experiment_id": late}
    assert problems(**args) == ""
    deployment = plan(**args)
    for value in (deployment.endpoint_name, deployment.feedback_model, deployment.tables_catalog, deployment.traffic):
        assert isinstance(value, Unknown)
    assert rules.endpoint_tags(deployment.tags, "7") == {"MONITOR_EXPERIMENT_ID": "7", "team": late}
    assert "versions[1]: expected either" in problems(versions=[{"version": late}, {"version": late, "alias": "x"}])
