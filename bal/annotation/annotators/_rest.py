"""Label Studio over its REST interface: what is sent, what comes back, and in one line what went wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bal.types import BadInput

if TYPE_CHECKING:
    import httpx

PAGE = 100  # tasks or projects asked for at once; a server may give fewer
BATCH, BYTES = 50, 20 * 2**20  # tasks that are sent at once: so many at most, and so large together unless it is one
CONNECT, ANSWER = 10.0, 120.0  # seconds that a server has


class Server:
    """A running Label Studio; a context. Every method raises BadInput where it cannot be used."""

    def __init__(self, url: str, variable: str):
        """`variable` is the environment variable that holds an access token, legacy or personal."""
        try:
            import httpx
        except ModuleNotFoundError:
            raise BadInput(
                "the annotator label_studio needs httpx; install it with: pip install 'bal[label-studio]'"
            ) from None
        self._errors = (httpx.HTTPError, httpx.InvalidURL)
        self._url, self._variable, self._token = url.rstrip("/"), variable, os.environ.get(variable, "").strip()
        if not (self._token.isascii() and self._token.isprintable() and self._token):
            raise BadInput(
                f"${variable} holds no access token; copy one from Account & Settings of Label Studio at {self._url}, "
                f"and export {variable}=…"
            )
        self._personal = self._token.count(".") == 2  # it buys the tokens, of minutes, that requests are sent with
        self._bought = ""
        self._client = httpx.Client(timeout=httpx.Timeout(ANSWER, connect=CONNECT))

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *rest: object) -> None:
        self._client.close()

    def project(self, mark: str) -> int | None:
        """The id of the project whose description holds a mark; None where there is none."""
        page = 1
        while True:
            found = self._get("/api/projects/", page=page, page_size=PAGE, include="id,description")
            mine = [
                self._whole(project, "id")
                for project in self._list(found, "results")
                if mark in (project.get("description") or "")
            ]
            if mine:
                return min(mine)
            if not found.get("next"):
                return None
            page += 1

    def make_project(self, settings: Mapping[str, Any]) -> int:
        """Makes a project; its id."""
        return self._whole(self._call("POST", "/api/projects/", content=json.dumps(settings)), "id")

    def tasks(self, project: int, annotated: bool = False) -> list[dict[str, Any]]:
        """Every task of a project, in the order in which they were sent; with its annotations if wanted."""
        found: dict[int, dict[str, Any]] = {}
        for _ in range(3):  # one that somebody deletes meanwhile moves those behind it to an earlier page
            more, total = self._pages(project, {"fields": "all"} if annotated else {})
            found |= more
            if len(more) >= total:
                break
        return [found[id] for id in sorted(found)]

    def send(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Adds tasks to a project, in order."""
        for part in _parts([json.dumps(task) for task in tasks]):
            self._call("POST", f"/api/projects/{project}/import", content=f"[{','.join(part)}]")

    def _pages(self, project: int, how: Mapping[str, str]) -> tuple[dict[int, dict[str, Any]], int]:
        """Tasks by id, and how many there are said to be."""
        found: dict[int, dict[str, Any]] = {}
        page = total = 0
        while not page or len(found) < total:
            page += 1
            answer = self._get("/api/tasks/", project=project, page=page, page_size=PAGE, resolve_uri="false", **how)
            tasks = self._list(answer, "tasks")
            if not tasks:
                break
            total = self._whole(answer, "total")
            found |= {self._whole(task, "id"): task for task in tasks}
        return found, total

    def _get(self, path: str, **params: Any) -> dict[str, Any]:
        """A page of a list; behind the last one there is nothing."""
        return self._call("GET", path, params["page"] > 1, params=params)

    def _call(self, method: str, path: str, may_lack: bool = False, **what: Any) -> dict[str, Any]:
        if self._personal and not self._bought:
            self._buy()
        response = self._send(method, path, **what)
        if response.status_code == 401 and self._personal:
            self._buy()
            response = self._send(method, path, **what)
        return {"tasks": [], "results": []} if may_lack and response.status_code == 404 else self._read(response)

    def _buy(self) -> None:
        self._bought = ""
        response = self._send("POST", "/api/token/refresh/", content=json.dumps({"refresh": self._token}))
        self._bought = str(self._read(response).get("access"))

    def _send(self, method: str, path: str, **what: Any) -> httpx.Response:
        token = f"Bearer {self._bought}" if self._personal else f"Token {self._token}"
        headers = {"Content-Type": "application/json"}
        if self._bought or not self._personal:
            headers["Authorization"] = token
        try:
            return self._client.request(method, self._url + path, headers=headers, **what)
        except self._errors as error:
            why = " ".join(f"{type(error).__name__} {error}".split())
            raise BadInput(
                f"Label Studio does not answer at {self._url} ({why:.100}); nothing is lost: start it and --resume"
            ) from None

    def _read(self, response: httpx.Response) -> dict[str, Any]:
        """The object that came back."""
        what = f"{response.request.method} {response.request.url.path}"
        if response.status_code in (401, 403):
            raise BadInput(
                f"Label Studio at {self._url} refuses what ${self._variable} holds ({response.status_code} to {what}); "
                "copy an access token from its Account & Settings"
            )
        if not response.is_success:
            text = " ".join(response.text.split())
            raise BadInput(
                f"Label Studio at {self._url} answers {what} with {response.status_code} ({text:.160}); nothing is lost"
            )
        try:
            found = response.json()
        except ValueError:
            found = None
        return found if isinstance(found, dict) else self._strange(what)

    def _list(self, found: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
        inside = found.get(name)
        if isinstance(inside, list) and all(isinstance(one, dict) for one in inside):
            return inside
        return self._strange(name)

    def _whole(self, found: Mapping[str, Any], name: str) -> int:
        inside = found.get(name)
        return inside if isinstance(inside, int) else self._strange(name)

    def _strange(self, what: str) -> Any:
        raise BadInput(f"{self._url} does not answer as Label Studio does ({what}); is the address right?")


def _parts(tasks: Sequence[str]) -> Iterator[list[str]]:
    """Tasks in batches, as BATCH and BYTES allow."""
    part: list[str] = []
    for task in tasks:
        if part and (len(part) == BATCH or sum(map(len, part)) + len(task) > BYTES):
            yield part
            part = []
        part.append(task)
    if part:
        yield part
