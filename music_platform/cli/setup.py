"""The commands that set something up: `env` for a shell, `snowflake-setup` for a Snowflake account."""

from pathlib import Path
from typing import Annotated

import typer

from music_platform.cli.terminal import current_settings
from music_platform.errors import LocalStackError


def env() -> None:
    """Print variables for a shell: eval "$(music-platform env)".

    After that `dagster asset materialize` shows its runs in this home's UI, and `dagster` and `dbt` are on the PATH.
    """
    from music_platform.environment import export_lines
    from music_platform.stack.java import find_java

    settings = current_settings()
    try:
        java_home = find_java(settings).home
    except LocalStackError:
        java_home = None
    print("\n".join(export_lines(settings, java_home)))


def snowflake_setup(
    public: Annotated[
        Path | None,
        typer.Option("--public-key", help="PEM file of the platform's public key. Default: read from its private key."),
    ] = None,
    dashboard: Annotated[
        Path | None, typer.Option("--dashboard-key", help="PEM file of the public key of a user who only reads.")
    ] = None,
    next_key: Annotated[
        Path | None,
        typer.Option(
            help="PEM file of the platform's next public key, valid beside the current one. Default: only one is valid."
        ),
    ] = None,
    next_dashboard_key: Annotated[Path | None, typer.Option(help="The same for the user who only reads.")] = None,
    monthly_credits: Annotated[
        int, typer.Option(min=1, help="Credits per month after which the warehouse stops.")
    ] = 100,
    aws_role: Annotated[
        str | None, typer.Option(help="For a lake in S3: ARN of the AWS role that may read its bucket.")
    ] = None,
    allow_from: Annotated[
        list[str] | None,
        typer.Option(
            help="Addresses from which the users may log in, such as 192.0.2.0/24. May be repeated. Default: any."
        ),
    ] = None,
) -> None:
    """Print the SQL that prepares a Snowflake account.

    Nothing is run. The SQL makes one role each for loading, transforming and reading, with their grants, a warehouse
    that suspends itself under a resource monitor, masking policies for personal columns, the tables, and service users
    with key pairs. It can be run again, also with other roles, credits, keys or addresses.
    """
    from music_platform.warehouse.account import Account, public_key, script, setup

    settings = current_settings()
    account = Account.of(settings)
    if account.lake is not None and account.lake.startswith("s3:") and aws_role is None:
        raise typer.BadParameter("a lake in S3 needs --aws-role, the ARN of the role that may read its bucket")
    key = public or settings.snowflake_private_key_path
    if key is None:
        raise typer.BadParameter(
            "give --public-key, or set SNOWFLAKE_PRIVATE_KEY_PATH. To make a pair: openssl genrsa 2048 | openssl pkcs8 "
            "-topk8 -out rsa_key.p8; openssl rsa -in rsa_key.p8 -pubout -out rsa_key.pub"
        )
    steps = setup(
        account,
        public_key(key, settings.snowflake_private_key_passphrase),
        public_key(dashboard) if dashboard else None,
        monthly_credits,
        aws_role,
        next_user_key=public_key(next_key, settings.snowflake_private_key_passphrase) if next_key else None,
        next_dashboard_key=public_key(next_dashboard_key) if next_dashboard_key else None,
        networks=allow_from or (),
    )
    print(script(steps))
