"""`python -m music_simulator` is `music-platform simulate`."""

import typer

from music_simulator.cli import simulate

app = typer.Typer(add_completion=False)
app.command("simulate")(simulate)

if __name__ == "__main__":
    app(prog_name="music-platform simulate")
