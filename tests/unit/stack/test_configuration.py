"""What the stack writes for its services: rendered from settings alone, nothing reachable from outside the machine."""

import ast
import configparser
import json
import os
import shlex
import stat
import sys
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError
from supervisor.options import ServerOptions

import music_platform
from music_platform import topics
from music_platform.environment import (
    MARKER,
    export_lines,
    inherited_environment,
    project_root,
    settings_environment,
)
from music_platform.errors import LocalStackError
from music_platform.home import Home
from music_platform.settings import Settings
from music_platform.sources import SettingsError
from music_platform.stack import broker as kafka
from music_platform.stack import services, spark_connect
from music_platform.stack.java import Java
from music_platform.stack.local_stack import LocalStack, last_lines
from music_platform.stack.supervision import render_conf
from music_spark.read import KafkaSource
from music_spark.session import spark_conf, store_conf

JAVA = Java(Path("/opt/java"), "17.0.1", 17)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, music_home=tmp_path / "home", kafka_port=1111, kafka_controller_port=1112)


def properties(settings: Settings) -> dict[str, str]:
    lines = kafka.server_properties(settings).splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_the_broker_listens_on_loopback_only(settings: Settings) -> None:
    given = properties(settings)
    assert given["listeners"] == "PLAINTEXT://127.0.0.1:1111,CONTROLLER://127.0.0.1:1112"
    assert given["advertised.listeners"] == "PLAINTEXT://127.0.0.1:1111"
    assert given["controller.quorum.voters"] == "1@127.0.0.1:1112"


def test_the_broker_keeps_records_for_a_week_within_a_size(settings: Settings) -> None:
    given = properties(settings)
    assert int(given["log.retention.ms"]) == 7 * 24 * 3600 * 1000
    assert int(given["log.segment.bytes"]) <= int(given["log.retention.bytes"])
    assert given["auto.create.topics.enable"] == "false"


@pytest.mark.parametrize("changes", [{}, {"topic_partitions": 12}, {"kafka_retention_bytes": 64 << 20}])
def test_all_partitions_together_keep_within_the_size(settings: Settings, changes: dict[str, int]) -> None:
    settings = settings.model_copy(update={"shape_topics": "plays=playback", **changes})
    given = properties(settings)
    # Retention deletes whole segments, and never the one that is being written.
    partition = int(given["log.retention.bytes"]) + int(given["log.segment.bytes"])
    assert partition * 5 * settings.topic_partitions <= settings.kafka_retention_bytes


def test_every_log_of_a_service_is_rotated(settings: Settings) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(render_conf(Home(settings.home), services.programs(settings, JAVA, services.SERVICES)))
    for name in parser.sections():
        if name.startswith("program:"):
            assert parser[name]["stdout_logfile_maxbytes"] == "10MB"
            assert int(parser[name]["stdout_logfile_backups"]) <= 2
            assert parser[name]["redirect_stderr"] == "true"


def test_the_broker_s_data_lies_in_the_home(settings: Settings) -> None:
    assert properties(settings)["log.dirs"] == str(settings.home / "kafka" / "data")


def test_cluster_ids_have_kafka_s_form() -> None:
    ids = {kafka.new_cluster_id() for _ in range(200)}
    assert len(ids) == 200
    assert all(len(each) == 22 and not each.startswith("-") for each in ids)


def test_the_connect_server_has_the_platform_s_settings_on_loopback(settings: Settings) -> None:
    conf = spark_connect.server_conf(settings)
    assert spark_conf().items() <= conf.items()
    addresses = ("spark.connect.grpc.binding.address", "spark.driver.bindAddress", "spark.driver.host")
    assert {conf[name] for name in addresses} == {"127.0.0.1"}
    assert conf["spark.driver.memory"] == settings.spark_driver_memory


def test_spark_s_jars_are_only_those_of_its_set(settings: Settings) -> None:
    jars = spark_connect.server_conf(settings)["spark.jars"].split(",")
    assert any(jar.endswith("spark-sql-kafka-0-10_2.13-4.2.0.jar") for jar in jars)
    assert not any("kafka_2.13" in jar for jar in jars)


def test_supervisor_reads_back_every_program(settings: Settings) -> None:
    home = Home(settings.home)
    programs = services.programs(settings, JAVA, services.SERVICES)
    parsed = configparser.RawConfigParser()
    parsed.read_string(render_conf(home, programs))
    for program in programs:
        section = parsed[f"program:{program.name}"]
        environment = [f"{name}={value}" for name, value in sorted(program.environment.items())]
        if program.isolated:
            marked = sorted([*environment, f"{MARKER}={settings.home}"])
            assert shlex.split(section["command"]) == ["/usr/bin/env", "-i", *marked, *program.command]
        else:
            assert shlex.split(section["command"]) == ["/usr/bin/env", *environment, *program.command]
        assert section["stopasgroup"] == section["killasgroup"] == section["autorestart"] == "true"
        assert section["stdout_logfile"] == str(home.log_of(program.name))


def test_no_service_starts_in_the_checkout_where_dagster_would_read_env(settings: Settings) -> None:
    for program in services.programs(settings, JAVA, services.SERVICES):
        assert program.directory.is_relative_to(settings.home), program.name


def test_a_percent_sign_in_a_path_is_no_expansion(tmp_path: Path) -> None:
    conf = render_conf(Home(tmp_path / "100%"), [])
    assert "100%%/" in conf
    assert "100%/" not in conf


def test_quotation_marks_in_a_setting_reach_the_service(tmp_path: Path) -> None:
    options = """-Dx="a b" -Dy='c' 100%"""
    given = Settings(_env_file=None, music_home=tmp_path, jvm_options=options)
    (tmp_path / "logs").mkdir()
    conf = tmp_path / "supervisor.conf"
    conf.write_text(render_conf(Home(tmp_path), services.programs(given, None, ("daemon",))))
    read = ServerOptions()
    read.realize(["-c", str(conf)])
    (program,) = read.process_group_configs[0].process_configs
    assert f"JVM_OPTIONS={options}" in shlex.split(program.command)


def test_services_elsewhere_are_not_run_here(tmp_path: Path) -> None:
    given = Settings(
        _env_file=None,
        music_home=tmp_path,
        kafka_bootstrap_servers="broker:9092",
        spark_remote="local",
        snowflake_account="account",
    )
    assert services.local_services(given) == ("code", "webserver", "daemon", "dashboard", "watch")
    assert services.select_services(given, {"kafka", "daemon"}) == ("daemon",)


def test_an_unknown_service_is_an_error_with_the_names(settings: Settings) -> None:
    with pytest.raises(LocalStackError, match=r"No such service: kafak\. There are: kafka, spark"):
        services.select_services(settings, {"kafak"})


def test_java_is_asked_for_only_where_it_is_needed(settings: Settings) -> None:
    assert [program.name for program in services.programs(settings, None, ("warehouse", "daemon"))]
    with pytest.raises(LocalStackError, match="spark needs Java"):
        services.programs(settings, None, ("spark",))


def test_secrets_stand_in_no_file_and_no_export(tmp_path: Path) -> None:
    given = Settings(_env_file=None, music_home=tmp_path, snowflake_password="hush-hush", topic_prefix="test.")
    conf = render_conf(Home(given.home), services.programs(given, JAVA, services.SERVICES))
    exports = "\n".join(export_lines(given, JAVA.home))
    assert "hush-hush" not in conf + exports
    assert "TOPIC_PREFIX=test." in conf
    assert "export TOPIC_PREFIX=test." in exports
    assert inherited_environment(given)["SNOWFLAKE_PASSWORD"] == "hush-hush"


def test_spark_s_doors_ask_for_the_secret_and_no_file_has_it(tmp_path: Path) -> None:
    given = Settings(_env_file=None, music_home=tmp_path, music_secret="hush-hush")
    conf = spark_connect.render_conf(spark_connect.server_conf(given))
    assert "spark.authenticate true\n" in conf
    assert "hush-hush" not in conf
    assert inherited_environment(given)["SPARK_CONNECT_AUTHENTICATE_TOKEN"] == "hush-hush"
    elsewhere = given.model_copy(update={"spark_remote": "sc://cluster:15002"})
    assert "SPARK_CONNECT_AUTHENTICATE_TOKEN" not in inherited_environment(elsewhere)


@pytest.mark.parametrize(("wanted", "limit"), [("3GB", "3GB"), (None, f"{psutil.virtual_memory().total // 4}B")])
def test_the_warehouse_takes_a_part_of_the_memory(settings: Settings, wanted: str | None, limit: str) -> None:
    (program,) = services.programs(settings.model_copy(update={"warehouse_memory": wanted}), None, ("warehouse",))
    assert program.command[program.command.index("--memory-limit") + 1] == limit


def test_what_up_and_the_services_write_is_for_this_user_only(tmp_path: Path) -> None:
    stack = LocalStack(Settings(_env_file=None, music_home=tmp_path / "home"))
    before = os.umask(0o022)
    try:
        with stack._locked():
            (stack.home.root / "file").touch()
        assert os.umask(0o022) == 0o022, "the caller's own is as it was"
    finally:
        os.umask(before)
    assert stat.S_IMODE(stack.home.root.stat().st_mode) == 0o700
    assert stat.S_IMODE((stack.home.root / "file").stat().st_mode) == 0o600
    parser = configparser.RawConfigParser()
    parser.read_string(render_conf(stack.home, []))
    assert parser["supervisord"]["umask"] == "077"


def test_a_changed_setting_changes_what_supervisor_reads(settings: Settings) -> None:
    def sections(given: Settings) -> dict[str, str]:
        conf = render_conf(Home(given.home), services.programs(given, JAVA, services.SERVICES))
        return {section.split("]")[0]: section for section in conf.split("[program:")[1:]}

    before = sections(settings)
    after = sections(settings.model_copy(update={"kafka_retention_hours": 1, "lag_threshold_records": 7}))
    changed = {name for name, section in after.items() if section != before[name]}
    assert changed == {*services.BROKERS, "code", "webserver", "daemon", "dashboard", "watch"}
    assert sections(settings.model_copy(update={"java_home": JAVA.home})) == before


def test_a_shell_of_the_home_is_not_taken_for_a_process_of_the_stack(settings: Settings) -> None:
    assert not any(MARKER in line for line in export_lines(settings, None))
    assert inherited_environment(settings)[MARKER] == str(settings.home)


def test_children_see_the_home_as_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = Settings(_env_file=None, music_home=Path("relative"))
    assert settings_environment(given, secrets=False)["MUSIC_HOME"] == str(tmp_path.resolve() / "relative")


def test_a_deep_home_gets_a_short_socket(tmp_path: Path) -> None:
    shallow, deep = Home(Path("/srv/music")), Home(tmp_path / ("deep" * 30))
    assert shallow.socket == Path("/srv/music/supervisor.sock")
    assert len(str(deep.socket)) < 90
    assert deep.socket != Home(tmp_path / ("deeper" * 30)).socket


def test_the_end_of_a_log_is_that_of_this_start() -> None:
    log = b"old\n" * 5 + b"\x1b[31mnew\x1b[0m\nnewer\n"
    assert last_lines(log, since=20) == ["new", "newer"]
    assert last_lines(log, since=20, count=1) == ["newer"]
    assert last_lines(b"after rotation\n", since=10_000) == ["after rotation"]


def test_object_stores_are_reached_by_each_cloud_s_own_variables() -> None:
    assert not [name for name in store_conf({}) if "endpoint" in name or "root.url" in name]
    assert store_conf({})["spark.hadoop.fs.gs.auth.type"] == "APPLICATION_DEFAULT"
    s3 = store_conf({"AWS_ENDPOINT_URL": "http://127.0.0.1:7", "AWS_REGION": "r", "AWS_SECRET_ACCESS_KEY": "hush"})
    assert s3["spark.hadoop.fs.s3a.endpoint"] == "http://127.0.0.1:7"
    assert s3["spark.hadoop.fs.s3a.path.style.access"] == "true"
    assert s3["spark.hadoop.fs.s3a.endpoint.region"] == "r"
    assert "hush" not in str(s3), "credentials go by the environment alone"
    gcs = store_conf({"STORAGE_EMULATOR_HOST": "http://127.0.0.1:8"})
    assert gcs["spark.hadoop.fs.gs.storage.root.url"] == "http://127.0.0.1:8/"


SASL = {
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_mechanism": "PLAIN",
    "kafka_sasl_username": "music",
    "kafka_sasl_password": 'hush"\\',
}


def test_one_set_of_settings_secures_every_client(tmp_path: Path) -> None:
    ca, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    ca.write_text("CA")
    key.write_text("KEY")
    files = {"kafka_ssl_ca_location": ca, "kafka_ssl_certificate_location": ca, "kafka_ssl_key_location": key}
    given = Settings(_env_file=None, kafka_bootstrap_servers="b:1", **SASL, **files)
    python, java = given.kafka_client_config(), given.kafka_jvm_config()
    assert (python["sasl.password"], python["ssl.ca.location"]) == ('hush"\\', str(ca))
    assert 'password="hush\\"\\\\";' in java["sasl.jaas.config"], "quoted as JAAS wants it"
    assert (java["ssl.truststore.certificates"], java["ssl.keystore.key"]) == ("CA", "KEY"), "no file for executors"
    assert 'hush"' not in repr(given)


def test_any_property_reaches_every_client_and_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS MSK with IAM, as docs/guide/sources.md writes it, and a broker that authorizes consumer groups."""
    java = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "AWS_MSK_IAM",
        "sasl.jaas.config": "software.amazon.msk.auth.iam.IAMLoginModule required;",
        "option:groupIdPrefix": "music-platform-spark",
    }
    values = {
        "KAFKA_BOOTSTRAP_SERVERS": "b:9098",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
        "KAFKA_TOKEN_FUNCTION": "tests.unit.stack.test_configuration:token",
        "KAFKA_CLIENT_PROPERTIES": json.dumps({"client.id": "music", "group.id": "music-platform"}),
        "KAFKA_JVM_PROPERTIES": json.dumps(java),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    given = Settings(_env_file=None)
    client = given.kafka_client_config()
    assert (client["sasl.mechanism"], client["client.id"], client["group.id"]) == (
        "OAUTHBEARER", "music", "music-platform",
    )  # fmt: skip
    for group in topics.GROUPS:
        assert topics.consumer_config(client, group)["group.id"] == "music-platform"
        assert topics.consumer_config({}, group)["group.id"] == group
        assert topics.consumer_config({"enable.auto.commit": True}, group)["enable.auto.commit"] is False
    assert client["oauth_cb"]("") == ("header.claims.signature", 2e9)
    source = KafkaSource("b:9098", ("t",), 10, given.kafka_jvm_config(), more_options=given.kafka_source_options())
    options = source.options()
    assert options["groupIdPrefix"] == "music-platform-spark"
    assert options["kafka.sasl.mechanism"] == "AWS_MSK_IAM"
    assert options["kafka.sasl.jaas.config"] == java["sasl.jaas.config"]
    assert not [name for name in options if "option:" in name]


def test_every_consumer_s_group_is_the_settings_or_documented() -> None:
    root = Path(str(music_platform.__file__)).parent
    openers = [
        file.name
        for file in root.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Consumer"
    ]
    assert openers == ["topics.py"], "through open_consumer, which lets KAFKA_CLIENT_PROPERTIES win"
    documented = (project_root() / "docs/guide/sources.md").read_text()
    assert [group for group in topics.GROUPS if f"`{group}`" not in documented] == []


def token(_config: str) -> tuple[str, float]:
    return "header.claims.signature", 2e9


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("kafka_sasl_mechanism", "AWS_MSK_IAM", "KAFKA_CLIENT_PROPERTIES and KAFKA_JVM_PROPERTIES"),
        ("kafka_client_properties", '{"linger.ms": 5}', "is not a JSON object of texts"),
        ("kafka_jvm_properties", "hush", "is not a JSON object of texts"),
        ("kafka_token_function", "os.system", "write module:name"),
    ],
)
def test_a_property_that_no_client_can_take_is_refused(name: str, value: str, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Settings(_env_file=None, **{name: value})  # type: ignore[arg-type]


def test_a_token_function_that_cannot_be_imported_is_named() -> None:
    given = Settings(_env_file=None, kafka_token_function="nowhere:token")
    with pytest.raises(SettingsError, match="KAFKA_TOKEN_FUNCTION=nowhere:token cannot be imported"):
        given.kafka_client_config()


def test_the_local_broker_is_secured_by_the_same_settings_and_keeps_no_password(settings: Settings) -> None:
    secured = settings.model_copy(update={**SASL, "kafka_sasl_password": "hush"})
    given = properties(secured)
    assert given["listeners"].startswith("SASL_SSL://127.0.0.1:1111,")
    assert given["listener.security.protocol.map"] == "SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT"
    assert "hush" not in str(given)
    assert secured.kafka_client_config()["ssl.ca.location"] == str(settings.home / "kafka/tls/ca.pem")
    mutual = settings.model_copy(update={"kafka_security_protocol": "SSL"})
    assert properties(mutual)["ssl.client.auth"] == "required"
    assert mutual.kafka_client_config()["ssl.certificate.location"] == str(settings.home / "kafka/tls/client.pem")


def test_a_missing_local_warehouse_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, services.LOCAL_WAREHOUSE, None)  # as if it were not installed
    with pytest.raises(LocalStackError, match="Install the extra `local`"):
        services.require_installed((services.KAFKA, services.WAREHOUSE))
    services.require_installed((services.KAFKA,))
