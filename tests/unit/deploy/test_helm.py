"""The Helm chart: its values by their schema, and each object that it renders by Kubernetes' own."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from music_platform.environment import project_root, venv_bin
from music_platform.settings import Settings, is_secret
from music_platform.stack.spark_connect import pod_conf

CHART = project_root() / "deploy" / "helm" / "music-platform"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
KUBERNETES = ("1.31", "1.37")


def merged(below: Any, above: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{key: merged(below.get(key), value) for key, value in above.items()}}


def errors(values: dict[str, Any]) -> list[str]:
    found = jsonschema.Draft202012Validator(SCHEMA).iter_errors(merged(DEFAULTS, values))
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in found]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_examples_are_valid_values(file: Path) -> None:
    values = yaml.safe_load(file.read_text())
    assert errors(values) == []
    known = {name.upper() for name in Settings.model_fields} | {"AWS_REGION"}
    assert set(values["settings"]) <= known


@pytest.mark.parametrize(
    "wrong",
    [
        {},  # no secret named
        {"secret": {"name": "s"}, "image": {"tag": "latest"}},
        {"secret": {"name": "s"}, "image": {"digest": "sha256:short"}},
        {"secret": {"name": "s"}, "settings": {"SNOWFLAKE_PASSWORD": "hush"}},
        {"secret": {"name": "s"}, "settings": {"lake_url": "x"}},
        {"secret": {"name": "s"}, "graceSeconds": 1},
        {"secret": {"name": "s"}, "replicas": 2},
        {"secret": {"name": "s"}, "spark": {"executorMemory": "2 GB"}},
        {"secret": {"name": "s"}, "spark": {"conf": {"spark.authenticate.secret": "x"}}},
        {"secret": {"name": "s"}, "home": {"size": "5"}},
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, Any]) -> None:
    assert errors(wrong) != []


def test_no_secret_setting_can_be_a_plain_value() -> None:
    for name, field in Settings.model_fields.items():
        if is_secret(field):
            assert errors({"secret": {"name": "s"}, "settings": {name.upper(): "x"}}) != [], name
    assert errors({"secret": {"name": "s"}, "settings": {"TOPIC_PREFIX": "x"}}) == []


def test_every_value_is_described_by_the_schema() -> None:
    def paths(schema: dict[str, Any], values: Any, at: str) -> list[str]:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        if not isinstance(values, dict) or "properties" not in schema:
            return []
        missing = [f"{at}{key}" for key in values if key not in schema["properties"]]
        below = [(key, value) for key, value in values.items() if key in schema["properties"]]
        return missing + [
            path for key, value in below for path in paths(schema["properties"][key], value, f"{at}{key}.")
        ]

    assert paths(SCHEMA, DEFAULTS, "") == []


def test_the_chart_s_ports_are_those_of_the_driver() -> None:
    conf = pod_conf(Path("/opt/music/jars/spark"))
    policy = (CHART / "templates" / "network.yaml").read_text()
    ports = sorted(
        int(conf[n]) for n in ("spark.driver.port", "spark.driver.blockManager.port", "spark.blockManager.port")
    )
    assert policy.count(f"{{port: {ports[0]}, endPort: {ports[-1]}, protocol: TCP}}") == 2
    assert conf["spark.connect.grpc.binding.address"] == "127.0.0.1"


def helm(*arguments: str) -> str:
    tool = shutil.which("helm")
    if tool is None:
        pytest.skip("helm is not installed: the chart is checked by its schema alone")
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def rendered(file: Path) -> list[dict[str, Any]]:
    text = helm("template", "music", str(CHART), "--namespace", "data", "--values", str(file))
    return [each for each in yaml.safe_load_all(text) if each]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_helm_finds_nothing_wrong(file: Path) -> None:
    helm("lint", "--strict", str(CHART), "--values", str(file))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_object_is_valid_and_every_pod_restricted(file: Path) -> None:
    objects = rendered(file)
    kinds = {each["kind"] for each in objects}
    assert kinds >= {"StatefulSet", "ConfigMap", "ServiceAccount", "Service", "NetworkPolicy", "PodDisruptionBudget"}
    (platform,) = (each for each in objects if each["kind"] == "StatefulSet")
    pod = platform["spec"]["template"]["spec"]
    pods = [
        pod,
        *(
            yaml.safe_load(each["data"]["executor.yaml"])["spec"]
            for each in objects
            if "executor.yaml" in each.get("data", {})
        ),
    ]
    for each in pods:
        assert each["securityContext"]["runAsNonRoot"] is True
        assert each["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*each["containers"], *each.get("initContainers", [])]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
    assert [container["name"] for container in pod["containers"]] == [
        "code",
        "webserver",
        "daemon",
        "dashboard",
        "watch",
    ]
    assert all(container["startupProbe"] and container["livenessProbe"] for container in pod["containers"])
    arguments = pod["containers"][0]["args"]
    grace = int(arguments[arguments.index("--grace") + 1])
    assert pod["terminationGracePeriodSeconds"] >= grace + 15
    assert not any("hostPort" in str(each) or each.get("hostNetwork") for each in pods)
    assert all(each["spec"].get("type", "ClusterIP") == "ClusterIP" for each in objects if each["kind"] == "Service")


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_object_is_valid_by_kubernetes_schema(file: Path, version: str, tmp_path: Path) -> None:
    tool = venv_bin() / "kubernetes-validate"
    objects = rendered(file)
    executors = [each["data"]["executor.yaml"] for each in objects if "executor.yaml" in each.get("data", {})]
    written = tmp_path / "objects.yaml"
    named = [merged(yaml.safe_load(each), {"metadata": {"name": "executor"}}) for each in executors]
    written.write_text(yaml.safe_dump_all([*objects, *named]))
    done = subprocess.run([tool, "-k", version, "--strict", str(written)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_helm_refuses_values_that_the_schema_refuses() -> None:
    tool = shutil.which("helm")
    if tool is None:
        pytest.skip("helm is not installed: the chart is checked by its schema alone")
    done = subprocess.run([tool, "template", "music", str(CHART)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert re.search("secret.*name|minLength", done.stderr, re.DOTALL)
