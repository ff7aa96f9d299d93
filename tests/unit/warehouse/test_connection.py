"""The one connection factory: what it gives to Snowflake's client, and what the client makes of it."""

import base64
import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
import snowflake.connector
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from music_platform.environment import project_root
from music_platform.orchestration.resources import warehouse_resource
from music_platform.settings import LOOPBACK, Settings
from music_platform.warehouse.connection import (
    WarehouseUnreachableError,
    connect,
    connection_arguments,
    query_tag,
)


class Logins(ThreadingHTTPServer):
    """Takes login requests, and refuses them."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                self.server.seen.append(json.loads(body)["data"])  # type: ignore[attr-defined]
                answer = json.dumps(
                    {"success": False, "code": "390144", "message": "JWT token is invalid.", "data": {}}
                )
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *_: object) -> None: ...

        super().__init__((LOOPBACK, 0), Handler)


@pytest.fixture
def logins() -> Iterator[Logins]:
    server = Logins()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def account(tmp_path: Path, key: rsa.RSAPrivateKey) -> Settings:
    """Settings with a key pair whose private key has a passphrase."""
    file = tmp_path / "rsa_key.p8"
    locked = serialization.BestAvailableEncryption(b"secret")
    file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        music_home=tmp_path,
        snowflake_account="org-account",
        snowflake_user="music_platform",
        snowflake_private_key_path=file,
        snowflake_private_key_passphrase="secret",
        snowflake_role="MUSIC_LOADER",
        snowflake_transform_role="MUSIC_TRANSFORMER",
        snowflake_warehouse="MUSIC_WH",
    )


def reach(server: Logins) -> dict[str, Any]:
    """Arguments that send a client to `server` instead of to Snowflake."""
    return {"host": LOOPBACK, "port": server.server_port, "protocol": "http", "platform_detection_timeout_seconds": 0}


def check_login(seen: dict[str, Any], key: rsa.RSAPrivateKey) -> None:
    """The token is signed by the private key, and says whose and which."""
    assert seen["AUTHENTICATOR"] == "SNOWFLAKE_JWT"
    assert not seen.get("PASSWORD")
    claims = jwt.decode(seen["TOKEN"], key.public_key(), algorithms=["RS256"], options={"verify_aud": False})
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    fingerprint = base64.b64encode(hashlib.sha256(der).digest()).decode()
    assert claims["sub"] == "ORG-ACCOUNT.MUSIC_PLATFORM"
    assert claims["iss"] == f"ORG-ACCOUNT.MUSIC_PLATFORM.SHA256:{fingerprint}"
    assert seen["SESSION_PARAMETERS"]["TIMEZONE"] == "UTC"
    assert seen["SESSION_PARAMETERS"]["WEEK_START"] == 1


def test_a_key_pair_logs_in_by_a_signed_token(account: Settings, key: rsa.RSAPrivateKey, logins: Logins) -> None:
    with pytest.raises(snowflake.connector.errors.DatabaseError, match="JWT token is invalid"):
        snowflake.connector.connect(**connection_arguments(account, "a tag") | reach(logins))
    check_login(logins.seen[0], key)
    assert logins.seen[0]["SESSION_PARAMETERS"]["QUERY_TAG"] == "a tag"


def test_dagsters_resource_logs_in_in_the_same_way(
    account: Settings, key: rsa.RSAPrivateKey, logins: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = snowflake.connector.connect
    monkeypatch.setattr(snowflake.connector, "connect", lambda **given: really(**(given | reach(logins))))
    with (
        pytest.raises(WarehouseUnreachableError, match="JWT token is invalid"),
        warehouse_resource(account).get_connection(),
    ):
        pass
    check_login(logins.seen[0], key)


def test_dbts_profile_has_the_key_pair_and_the_transforming_role(account: Settings) -> None:
    profile = yaml.safe_load((project_root() / "dbt_project" / "profiles.yml").read_text())["music"]["outputs"]
    snowflake_target = profile["snowflake"]
    assert "SNOWFLAKE_PRIVATE_KEY_PATH" in snowflake_target["private_key_path"]
    assert "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE" in snowflake_target["private_key_passphrase"]
    assert snowflake_target["role"].index("SNOWFLAKE_TRANSFORM_ROLE") < snowflake_target["role"].index("SNOWFLAKE_ROLE")
    assert connection_arguments(account)["role"] == "MUSIC_LOADER"
    assert connection_arguments(account, role=account.snowflake_transform_role)["role"] == "MUSIC_TRANSFORMER"


@pytest.mark.parametrize("fault", ["absent", "wrong passphrase", "no passphrase"])
def test_a_key_that_cannot_be_used_is_a_sentence(account: Settings, fault: str) -> None:
    change: dict[str, object] = {
        "absent": {"snowflake_private_key_path": Path("/absent/rsa_key.p8")},
        "wrong passphrase": {"snowflake_private_key_passphrase": "other"},
        "no passphrase": {"snowflake_private_key_passphrase": None},
    }[fault]  # type: ignore[assignment]
    with (
        pytest.raises(WarehouseUnreachableError, match="music-platform doctor") as raised,
        connect(account.model_copy(update=change)),
    ):
        pass
    assert "org-account" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_a_query_tag_is_json_that_fits() -> None:
    tag = query_tag("0f0e0d0c-0000-4000-8000-000000000000", "raw/events")
    assert json.loads(tag) == {
        "platform": "music", "run": "0f0e0d0c-0000-4000-8000-000000000000", "asset": "raw/events"
    }  # fmt: skip
    assert len(tag) < 2000, "Snowflake's limit"
