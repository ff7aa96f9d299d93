"""Image and compose file: what they allow a container, read from the files; the image is built where podman can."""

import json
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from music_platform.environment import project_root, venv_bin
from music_platform.settings import Settings, is_secret
from music_platform.stack import services
from music_platform.stack.foreground import store_credentials

ROOT = project_root()
IMAGE = ROOT / "deploy" / "image"
CONTAINERFILE = (IMAGE / "Containerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]


def complaints(name: str, container: dict[str, Any]) -> list[str]:
    """What the policy forbids about a container of a compose file."""
    found = []
    user = str(container.get("user", "0"))
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", user):
        found.append(f"it runs as {user}")
    if container.get("read_only") is not True:
        found.append("its root file system can be written")
    if container.get("cap_drop") != ["ALL"]:
        found.append("it keeps capabilities")
    if "no-new-privileges:true" not in container.get("security_opt", []):
        found.append("it may gain privileges")
    if container.get("privileged") or "docker.sock" in str(container.get("volumes", "")):
        found.append("it controls its host")
    if not container.get("healthcheck", {}).get("test"):
        found.append("it has no health check")
    for port in container.get("ports", []):
        if not str(port).startswith("127.0.0.1:"):
            found.append(f"port {port} is open beyond loopback")
    for variable, value in _pairs(container.get("environment", {})):
        secret = variable.lower() in Settings.model_fields and is_secret(Settings.model_fields[variable.lower()])
        if (secret or re.search("PASSWORD|SECRET|TOKEN", variable)) and not str(value).startswith("/run/secrets/"):
            found.append(f"{variable} is a secret in the file")
    for other, how in container.get("depends_on", {}).items():
        if not isinstance(how, dict) or how.get("condition") not in (
            "service_healthy",
            "service_completed_successfully",
        ):
            found.append(f"it does not wait until {other} is healthy")
    image = str(container.get("image", ""))
    if not re.search(r":[\w.-]+}?$", image) or image.endswith(":latest"):
        found.append(f"its image {image} may change")
    return [f"{name}: {each}" for each in found]


def _pairs(environment: Any) -> list[tuple[str, str]]:
    if isinstance(environment, dict):
        return [(name, str(value)) for name, value in environment.items()]
    return [(line.partition("=")[0], line.partition("=")[2]) for line in environment]


def test_no_container_has_more_than_it_needs() -> None:
    assert [complaint for name, each in CONTAINERS.items() for complaint in complaints(name, each)] == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"user": "root"}, "runs as root"),
        ({"user": "0:0"}, "runs as 0:0"),
        ({"read_only": False}, "can be written"),
        ({"cap_drop": []}, "keeps capabilities"),
        ({"security_opt": []}, "gain privileges"),
        ({"privileged": True}, "controls its host"),
        ({"volumes": ["/var/run/docker.sock:/var/run/docker.sock"]}, "controls its host"),
        ({"healthcheck": {}}, "no health check"),
        ({"ports": ["3000:3000"]}, "open beyond loopback"),
        ({"ports": ["0.0.0.0:3000:3000"]}, "open beyond loopback"),
        ({"environment": {"POSTGRES_PASSWORD": "dagster"}}, "a secret in the file"),
        ({"environment": ["MUSIC_SECRET=abc"]}, "a secret in the file"),
        ({"depends_on": {"pod": {"condition": "service_started"}}}, "does not wait until pod"),
        ({"image": "postgres:latest"}, "may change"),
        ({"image": "postgres"}, "may change"),
    ],
)
def test_the_policy_finds_what_it_forbids(change: dict[str, Any], complaint: str) -> None:
    (found,) = complaints("code", CONTAINERS["code"] | change)
    assert complaint in found


def test_every_service_of_the_platform_has_a_container() -> None:
    served = {each["command"][1] for each in CONTAINERS.values() if each.get("command", [""])[0] == "serve"}
    clusters = {services.SPARK_MASTER, *services.SPARK_WORKERS}
    assert served == set(services.SERVICES) - clusters
    for name in served:
        assert CONTAINERS[name]["healthcheck"]["test"][1:] == ["music-platform", "health", name]


def test_profiles_add_what_their_names_say() -> None:
    members = {
        profile: {name for name, each in CONTAINERS.items() if profile in each.get("profiles", [])}
        for profile in ("demo", "kafka", "s3")
    }
    assert members == {
        "demo": {"kafka", "spark", "warehouse", "simulator"}, "kafka": {"kafka-2", "kafka-3"}, "s3": {"s3"},
    }  # fmt: skip
    always = {name for name, each in CONTAINERS.items() if "profiles" not in each}
    assert always == {"pod", "postgres", "code", "webserver", "daemon", "dashboard", "watch"}
    # What only a profile starts must not be required by what always starts.
    for name in always:
        for other, how in CONTAINERS[name].get("depends_on", {}).items():
            assert other in always or how["required"] is False


def test_a_batch_gets_its_grace_before_the_container_is_killed() -> None:
    code = CONTAINERS["code"]
    grace = float(code["command"][code["command"].index("--grace") + 1])
    assert grace + 15 <= float(code["stop_grace_period"].removesuffix("s"))


def test_secrets_are_files_that_git_ignores(tmp_path: Path) -> None:
    copied = tmp_path / "compose"
    shutil.copytree(ROOT / "deploy" / "compose", copied)
    shutil.rmtree(copied / "secrets", ignore_errors=True)
    for _ in range(2):
        subprocess.run(["sh", str(copied / "make-secrets.sh"), "s3"], check=True, capture_output=True)
    made = {file.name: file.read_text() for file in (copied / "secrets").iterdir()}
    assert {Path(each["file"]).name for each in COMPOSE["secrets"].values()} == set(made)
    assert len(made["music_secret"]) == 64
    assert made["postgres_password"] in made["dagster_postgres_url"]
    assert (copied / "secrets").stat().st_mode & 0o077 == 0
    ignored = subprocess.run(["git", "check-ignore", "deploy/compose/secrets/music_secret"], cwd=ROOT, check=False)
    assert ignored.returncode in (0, 128)  # 128: not a checkout


def test_keys_of_the_object_store_reach_its_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from music_platform.settings import load_settings

    (tmp_path / "aws_access_key_id").write_text("key")
    (tmp_path / "aws_secret_access_key").write_text("")
    monkeypatch.setenv("MUSIC_SECRETS_DIR", str(tmp_path))
    assert store_credentials(load_settings()) == {"AWS_ACCESS_KEY_ID": "key"}


def test_the_image_s_rules() -> None:
    base = re.search(r"^ARG BASE=(\S+)$", CONTAINERFILE, re.MULTILINE)
    assert base is not None
    assert re.fullmatch(r"\S+@sha256:[0-9a-f]{64}", base[1])
    assert len(re.findall(r"^FROM ", CONTAINERFILE, re.MULTILINE)) == 3
    final = CONTAINERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["/usr/bin/tini", "--", "music-platform"\]$', final, re.MULTILINE)
    assert "HEALTHCHECK" in final
    assert "org.opencontainers.image.revision" in final
    assert "--require-hashes" in CONTAINERFILE
    assert not re.search(r"(?i)curl .*\|\s*sh|ADD http|chmod 777", CONTAINERFILE)


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([venv_bin() / "hadolint", str(IMAGE / "Containerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_bill_of_materials_names_every_package() -> None:
    lock = ROOT / "music_platform" / "stack" / "jars.lock"
    command = [sys.executable, str(IMAGE / "sbom.py"), sys.prefix, str(lock)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    purls = {each["purl"] for each in found["components"]}
    assert f"pkg:pypi/pyspark@{metadata.version('pyspark')}" in purls
    assert sum(purl.startswith("pkg:maven/") for purl in purls) > 40
    assert all(each.get("hashes") for each in found["components"] if each["purl"].startswith("pkg:maven/"))
    assert len(purls) == len(found["components"])


def test_compose_reads_the_file() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed: the file is checked by the policy alone")
    profiles = ["--profile", "demo", "--profile", "kafka", "--profile", "s3"]
    done = subprocess.run(
        [docker, "compose", *profiles, "config", "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
