"""Dagster's UI as a person's browser uses it: its own GraphQL, with the secret of the home."""

import json
import urllib.request
from typing import Any

from music_platform.settings import Settings
from tests.support import slowdown

RUNS = "{ runsOrError { ... on Runs { results { runId jobName status tags { key value } } } } }"
LAUNCH = """
mutation($run: ExecutionParams!) { launchRun(executionParams: $run) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
DONE = {"SUCCESS", "FAILURE", "CANCELED"}


class Ui:
    """Dagster's UI, asked by its own GraphQL."""

    def __init__(self, settings: Settings) -> None:
        self.url = f"{settings.dagster_url}/graphql"
        self.headers = {"Content-Type": "application/json", "Authorization": f"Bearer {settings.music_secret}"}

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self.url, body, self.headers)
        with urllib.request.urlopen(request, timeout=slowdown.seconds(60)) as response:
            answer: dict[str, Any] = json.load(response)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask(RUNS)["runsOrError"]["results"]
        return found

    def launch(self, job: str) -> str:
        """Start a job with its default configuration; returns the run's id."""
        selector = {
            "repositoryLocationName": "music_platform",
            "repositoryName": "__repository__",
            "pipelineName": job,
        }
        answer = self.ask(LAUNCH, run={"mode": "default", "selector": selector})["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def ended(self, run_id: str) -> str | None:
        """The status of a run that has ended; None before."""
        return next((run["status"] for run in self.runs() if run["runId"] == run_id and run["status"] in DONE), None)
