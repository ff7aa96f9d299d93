"""The commands of containers and systemd units: `serve` one service, ask its `health`, `provision` what it needs."""

import os
import time
from typing import Annotated

import typer

from music_platform.cli.stack import complete_service
from music_platform.cli.terminal import acting_settings, console, current_settings, plain
from music_platform.stack import foreground, services
from music_platform.stack.local_stack import LocalStack

#: Seconds within which a daemon has to have sent a heartbeat, and the watch to have looked.
RECENT_SECONDS = 120

Service = Annotated[str, typer.Argument(help="The service.", autocompletion=complete_service)]


def serve(
    service: Service,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds that the batch at work gets to finish after SIGTERM (code only).")
    ] = 60.0,
    provision_first: Annotated[
        bool, typer.Option("--provision", help="Create missing topics and tables first.")
    ] = False,
) -> None:
    """Run one service in the foreground.

    For a container or a systemd unit, which starts it again when it ends. Nothing else of the platform is started. On
    SIGTERM the code server lets the batch at work finish and starts no other one.
    """
    settings = acting_settings()
    os.environ.update(foreground.store_credentials(settings))
    stack = LocalStack(settings, console=console)
    program = stack.program(service)
    if provision_first:
        provision()
    environment = foreground.environment(stack.settings, program)
    if service == services.CODE:
        raise typer.Exit(foreground.run_code(stack.settings, program, environment, grace))
    os.chdir(program.directory)
    os.execve(program.command[0], program.command, environment)


def health(service: Service) -> None:
    """Say whether one service answers.

    Exit code: 0 if it does its work, 1 if not, with the reason.
    """
    stack = LocalStack(current_settings(), console=console)
    services.named_services({service})
    complaint = foreground.complaint(stack.settings, service, int(time.time()) - RECENT_SECONDS)
    console.print(plain(complaint or f"{service} answers"), soft_wrap=True, highlight=False)
    raise typer.Exit(1 if complaint else 0)


def provision() -> None:
    """Create missing topics and tables.

    `up` does it by itself. This is for containers, where no service does it for the others.
    """
    from music_platform.stack.provision import provision as create

    created = create(LocalStack(acting_settings(), console=console).settings)
    console.print(f"Topics created: {', '.join(created) or 'none'}. The warehouse's tables are in place.")
