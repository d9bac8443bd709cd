"""The gate in front of Prefect and MLflow: who may ask a server what, and from which page.

Both servers take whoever reaches their port for their user. A port of this machine is reached by
every program and every user on it, and by every web page that its user opens. So each server stands
behind a gate:

- it answers to its own address only (a page whose name was bound to 127.0.0.1 gets nothing);
- a browser's request comes from the server's own pages, or is a person following a link;
- MLflow serves the routes below and no others: its assistant, gateway, jobs, webhooks and scorers
  run commands or call other hosts, and an upgrade brings more of them;
- whoever asks knows the password. Prefect checks its own (PREFECT_SERVER_API_AUTH_STRING), so do
  MLflow's accounts where a team has them; on a laptop the gate checks MLflow's.

`make up` prints a link that lets a browser in: `/let-in` on Prefect keeps the password where
Prefect's pages look for it, then goes to MLflow's address with it, from where it comes back.

The file imports nothing of the project: a team's image holds it alone (`deploy/compose.yaml`).
"""

import base64
import binascii
import hmac
import json
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive, Send = Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

ADDRESS = "COLLIMATE_ADDRESS"  # variable: what browsers call this server
OTHER = "COLLIMATE_OTHER_ADDRESS"  # variable: the other server's address, for the way in
PASSWORD = "COLLIMATE_PASSWORD"  # variable: user:password; unset where MLflow has accounts
ACCOUNTS = "MLFLOW_AUTH_CONFIG_PATH"  # variable of MLflow's: a team's accounts
LET_IN = "/let-in"
HEALTH = ("/api/health", "/api/ready", "/health")

# MLflow's routes that its pages for runs and models, or its Python client, need.
TRACKING = {
    "experiments": {
        "GET": "get get-by-name search",
        "POST": "create delete delete-experiment-tag restore search search-datasets "
        "set-experiment-tag update",
    },
    "runs": {
        "GET": "get",
        "POST": "create delete delete-tag log-batch log-inputs log-metric log-parameter outputs "
        "restore search set-tag update",
    },
    "artifacts": {"GET": "list"},
    "metrics": {"GET": "get-history get-history-bulk get-history-bulk-interval"},
    "logged-models": {"POST": "search"},
    "registered-models": {
        "GET": "alias get get-latest-versions search",
        "POST": "alias create get-latest-versions rename set-tag",
        "PATCH": "update",
        "DELETE": "alias delete delete-tag",
    },
    "model-versions": {
        "GET": "get get-download-uri search",
        "POST": "create set-tag transition-stage",
        "PATCH": "update",
        "DELETE": "delete delete-tag",
    },
}
OTHERS = (
    ("GET", r"/|/health|/version|/static-files/.+|/get-artifact|/model-versions/get-artifact"),
    ("POST", r"/graphql"),
    ("GET", r"/(ajax-)?api/3\.0/mlflow/server-info"),
    ("POST", r"/ajax-api/3\.0/mlflow/traces/search"),
)
# What a team's clients and administrators need besides; on a laptop they use the database.
SHARED = (
    ("GET|PUT", r"/api/2\.0/mlflow-artifacts/artifacts(/.+)?"),
    ("GET", r"/ajax-api/2\.0/mlflow-artifacts/artifacts(/.+)?"),
    ("GET", r"/api/2\.0/mlflow-artifacts/presigned/.+"),
    ("POST", r"/api/2\.0/mlflow-artifacts/mpu/(create|complete|abort)/.+"),
    ("GET", r"/(ajax-)?api/2\.0/mlflow/users/(get|current|list)"),
    ("POST", r"/api/2\.0/mlflow/users/create"),
    ("PATCH", r"/api/2\.0/mlflow/users/update-(password|admin)"),
    ("DELETE", r"/api/2\.0/mlflow/users/delete"),
)
# Asked for by the page of a list of runs, which shows an error without it: there is no gateway.
ANSWERED = {("GET", "/ajax-api/2.0/mlflow/gateway-proxy"): '{"endpoints": []}'}
CREATES_EXPERIMENT = re.compile(r"/(?:ajax-)?api/2\.0/mlflow/experiments/create")


def mlflow_serves(method: str, path: str, team: bool = False) -> bool:
    """Return whether MLflow's route is served.

    >>> mlflow_serves("POST", "/ajax-api/2.0/mlflow/runs/search")
    True
    >>> mlflow_serves("POST", "/ajax-api/3.0/mlflow/assistant/message")
    False
    """
    found = re.fullmatch(r"/(?:ajax-)?api/2\.0/mlflow/([a-z-]+)/([a-z-]+)", path)
    if found and found[2] in TRACKING.get(found[1], {}).get(method, "").split():
        return True
    rules = (*OTHERS, *SHARED) if team else OTHERS
    return any(method in verbs.split("|") and re.fullmatch(rule, path) for verbs, rule in rules)


@dataclass(frozen=True)
class Gate:
    """An ASGI application in front of a server's.

    Attributes:
        address: What browsers call the server, like http://127.0.0.1:4200.
        serves: Tells whether a method and a path are served.
        password: user:password that every request but a health check must know; empty where the
            server asks for its own.
        way_in: The page at `/let-in`; empty for none.
    """

    app: App
    address: str
    serves: Callable[[str, str], bool] = lambda method, path: True
    password: str = ""
    way_in: str = ""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer why not."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        method = "GET" if scope.get("method", "GET") == "HEAD" else scope.get("method", "GET")
        refused = self._refused(method, scope["path"], dict(scope["headers"]))
        if refused is None and method == "POST" and CREATES_EXPERIMENT.fullmatch(scope["path"]):
            body = await _body(receive)
            refused, receive = _refused_experiment(body), _again(body, receive)
        if refused is None and scope["path"] == LET_IN and self.way_in:
            return await _answer(scope, send, 200, self.way_in, WAY_IN_HEADERS)
        if refused is not None:
            return await _answer(scope, send, *refused)
        if (method, scope["path"]) in ANSWERED:
            known = ANSWERED[method, scope["path"]]
            return await _answer(scope, send, 200, known, {"content-type": "application/json"})
        return await self.app(scope, receive, _unframed(send))

    def _refused(
        self, method: str, path: str, headers: dict[bytes, bytes]
    ) -> tuple[int, str, dict[str, str]] | None:
        if method == "GET" and path in HEALTH:
            return None
        asked = headers.get(b"host", b"").decode("latin-1").lower()
        called = urlsplit(self.address)
        if asked not in (called.netloc, called.hostname):  # some proxies leave the port out
            return 421, f"This server is called {self.address}.", {}
        origin = headers.get(b"origin", b"").decode("latin-1")
        site = headers.get(b"sec-fetch-site", b"none")
        # a person who follows a link here; scripts, forms, frames and pictures elsewhere are not
        followed = (headers.get(b"sec-fetch-mode"), headers.get(b"sec-fetch-dest")) == (
            b"navigate",
            b"document",
        )
        foreign = site not in (b"none", b"same-origin") and not (method == "GET" and followed)
        if foreign or (origin and origin != self.address):
            return 403, "Other pages may not ask this server.", {}
        if self.password and not _knows(headers.get(b"authorization", b""), self.password):
            how = {"www-authenticate": 'Basic realm="Collimate", charset="UTF-8"'}
            return 401, "`make up` prints a link that lets a browser in.", how
        served = self.serves(method, path) or (method, path) in ANSWERED
        if not served and not (path == LET_IN and self.way_in):
            return 404, "This route is not served: see flows/platform/gate.py.", {}
        return None


def _knows(authorization: bytes, password: str) -> bool:
    scheme, _, given = authorization.partition(b" ")
    try:
        known = base64.b64decode(given, validate=True)
    except binascii.Error:
        return False
    return scheme.lower() == b"basic" and hmac.compare_digest(known, password.encode())


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more and len(body) < 2**20:  # the name and the tags of an experiment
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def _refused_experiment(body: bytes) -> tuple[int, str, dict[str, str]] | None:
    """Refuse an experiment that says where its files are: any folder of the server's, it may be."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        asked = None
    if isinstance(asked, dict) and not asked.get("artifact_location"):
        return None
    return 403, "Where files are kept is the server's own choice.", {}


def _unframed(send: Send) -> Send:
    """Forbid other pages to show the server's in a frame, where clicks could be stolen."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            more = [(b"content-security-policy", b"frame-ancestors 'self'")]
            message["headers"] = [*message.get("headers", []), *more]
        await send(message)

    return sent


async def _answer(
    scope: Message, send: Send, status: int, text: str, headers: dict[str, str]
) -> None:
    if scope["type"] == "websocket":  # before it is accepted: the server answers 403
        return await send({"type": "websocket.close", "code": 1008})
    said = {"content-type": "text/plain; charset=utf-8"} | headers
    pairs = [(name.encode(), value.encode()) for name, value in said.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": text.encode()})


WAY_IN_HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
}
# The password comes in the address's fragment, which browsers send to nobody.
PREFECTS_WAY_IN = """<!doctype html><title>Collimate</title><script>
const key = location.hash.slice(1), other = "OTHER";
if (key) localStorage.setItem("prefect-password", key);
if (!other) location.replace("/");
else {
  const address = new URL(other), [name, secret] = atob(key).split(":");
  address.username = name; address.password = secret; address.pathname = "/let-in";
  location.replace(address);
}
</script>"""
MLFLOWS_WAY_IN = """<!doctype html><title>Collimate</title>
<script>location.replace("OTHER" || "/")</script>"""


def _gate(app: App, way_in: str, **rules: Any) -> Gate:
    page = way_in.replace("OTHER", os.environ.get(OTHER, ""))
    return Gate(app, os.environ[ADDRESS].rstrip("/"), way_in=page, **rules)


def prefect() -> Gate:
    """Return Prefect's server behind the gate (for uvicorn's `--factory`).

    Version 2 of its pages calls an outside host. No setting of 3.8 keeps version 1 from inviting to
    it, on the dashboard and below the menu, but where its files are missing both say nothing.
    """
    import prefect
    from prefect.server.api.server import create_app

    prefect.__ui_v2_static_path__ = prefect.__module_path__ / "server" / "ui-v2-not-served"
    return _gate(create_app(final=True), PREFECTS_WAY_IN)


def mlflow() -> Gate:
    """Return MLflow's server behind the gate: with accounts where a team has configured them.

    It keeps what `mlflow server` is told in MLFLOW_BACKEND_STORE_URI and the like.
    """
    from mlflow.server import constants

    called = urlsplit(os.environ[ADDRESS])
    told = {
        constants.BACKEND_STORE_URI_ENV_VAR: os.environ["MLFLOW_BACKEND_STORE_URI"],
        constants.ARTIFACT_ROOT_ENV_VAR: os.environ["MLFLOW_DEFAULT_ARTIFACT_ROOT"],
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join((called.netloc, called.hostname or "")),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": os.environ[ADDRESS],
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_IN_JOB_EXECUTOR": "false",
    }
    if stored := os.environ.get("MLFLOW_ARTIFACTS_DESTINATION"):
        told[constants.ARTIFACTS_DESTINATION_ENV_VAR] = stored
        told[constants.SERVE_ARTIFACTS_ENV_VAR] = "true"
    os.environ |= told
    team = ACCOUNTS in os.environ
    if team:
        from mlflow.server.auth import create_app

        app: App = create_app()
    else:
        from mlflow.server.fastapi_app import app
    return _gate(
        app,
        "" if team else MLFLOWS_WAY_IN,
        serves=lambda method, path: mlflow_serves(method, path, team),
        password=os.environ.get(PASSWORD, ""),
    )
