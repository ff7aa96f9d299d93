"""`music-platform snowflake-setup`: the SQL that an administrator runs once in a Snowflake account."""

from pathlib import Path
from typing import Annotated

import typer

from music_platform.settings import get_settings
from music_platform.warehouse.account import Account, public_key, script, setup


def snowflake_setup(
    public: Annotated[
        Path | None,
        typer.Option("--public-key", help="PEM file of the platform's public key. Unset: from its private key."),
    ] = None,
    dashboard: Annotated[
        Path | None, typer.Option("--dashboard-key", help="PEM file of the public key of a user that only reads.")
    ] = None,
    next_key: Annotated[
        Path | None,
        typer.Option(
            help="PEM file of the platform's next public key, valid beside the one in use. Unset: only one is."
        ),
    ] = None,
    next_dashboard_key: Annotated[Path | None, typer.Option(help="The same for the user that only reads.")] = None,
    monthly_credits: Annotated[int, typer.Option(min=1, help="Credits a month at which the warehouse stops.")] = 100,
    aws_role: Annotated[
        str | None, typer.Option(help="ARN of the AWS role that may read the lake's bucket; for a lake in S3.")
    ] = None,
    allow_from: Annotated[
        list[str] | None,
        typer.Option(help="Addresses, as 192.0.2.0/24, from which the users may log in; may be repeated. Unset: any."),
    ] = None,
) -> None:
    """Print the SQL that prepares a Snowflake account for these settings; nothing is run.

    One role each for loading, transforming and reading, the grants, a warehouse that suspends itself under a resource
    monitor, masking policies for personal columns, tables, and service users with key pairs. It can be run again, also
    with other roles, credits, keys or addresses.
    """
    settings = get_settings()
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
