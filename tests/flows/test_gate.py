"""Each rule of the gate, asked without a server behind it; and MLflow's routes, all of them."""

import asyncio
import base64
from collections.abc import Iterator

import pytest

from flows.platform.gate import TRACKING, Gate, mlflow_serves

pytestmark = pytest.mark.attack

ADDRESS = "http://127.0.0.1:4200"
PASSWORD = "collimate:secret"
KNOWN = "Basic " + base64.b64encode(PASSWORD.encode()).decode()
OWN = {"host": "127.0.0.1:4200", "authorization": KNOWN}
FOLLOWED = {
    "sec-fetch-site": "cross-site",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
}


def ask(
    headers: dict[str, str], method: str = "GET", path: str = "/api/flows", kind: str = "http",
    body: bytes = b"", **rules,
) -> int | str:  # fmt: skip
    """Return the status that the gate answers with, or "passed"."""
    said: list[dict] = []

    async def server(scope, receive, send):
        said.append({"status": "passed"})

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        said.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "path": path, "headers": pairs}
    if kind == "http":
        scope["method"] = method
    gate = Gate(server, ADDRESS, **({"password": PASSWORD} | rules))
    asyncio.run(gate(scope, receive, send))
    return said[0].get("status", said[0].get("code"))


def test_its_own_pages_and_clients_that_know_the_password_pass():
    assert ask(OWN) == "passed"
    same = {"origin": ADDRESS, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}
    assert ask(OWN | same, "POST") == "passed"
    assert ask(OWN | FOLLOWED) == "passed"  # a person followed a link from elsewhere
    assert ask(OWN, kind="websocket") == "passed"


@pytest.mark.parametrize(
    "given", ["", "Basic", "Basic !", f"Bearer {KNOWN[6:]}", KNOWN[:-4], "Basic " + "é" * 4]
)
def test_whoever_does_not_know_the_password_is_refused(given):
    assert ask(OWN | {"authorization": given}) == 401
    assert ask(OWN | {"authorization": given}, kind="websocket") == 1008


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:4200",
        "localhost:4200",
        "127.0.0.1:4201",
        "127.0.0.1.evil.example:4200",
    ],
)
def test_another_name_for_this_machine_is_refused(host):
    assert ask(OWN | {"host": host}) == 421
    assert ask(OWN | {"host": host}, kind="websocket") == 1008


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.example",
        "http://127.0.0.1:9999",
        "http://localhost:4200",
        "https://127.0.0.1:4200",
    ],
)
def test_another_origin_is_refused_even_with_the_password(origin):
    assert ask(OWN | {"origin": origin}, "POST") == 403
    assert ask(OWN | {"origin": origin}) == 403
    assert ask(OWN | {"origin": origin}, kind="websocket") == 1008


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(
    ("mode", "kind"),
    [("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe"), ("no-cors", "script")],
)
def test_pictures_scripts_and_frames_of_other_pages_are_refused(site, mode, kind):
    headers = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": kind}
    assert ask(OWN | headers) == 403


def test_a_form_elsewhere_cannot_be_sent_here():
    assert ask(OWN | FOLLOWED, "POST") == 403


def test_health_is_told_to_anybody_and_nothing_else():
    assert ask({"host": "x"}, path="/api/health") == "passed"
    assert ask({"host": "x"}, "POST", path="/api/health") == 421


def test_files_of_an_experiment_are_where_the_server_keeps_them():
    create = "/api/2.0/mlflow/experiments/create"
    for body, answer in (
        (b'{"name": "a"}', "passed"),
        (b'{"name": "a", "artifact_location": "file:///etc"}', 403),
        (b"not JSON", 403),
        (b"[" * 100_000, 403),
        (b"[]", 403),
    ):
        assert ask(OWN, "POST", create, body=body) == answer
        assert ask(OWN, "POST", create.replace("/api", "/ajax-api"), body=body) == answer


def test_the_list_of_gateways_is_empty_and_asked_of_nobody():
    path = "/ajax-api/2.0/mlflow/gateway-proxy"
    assert ask(OWN, path=path, serves=mlflow_serves) == 200
    assert ask(OWN, "POST", path, serves=mlflow_serves) == 404
    assert ask({"host": OWN["host"]}, path=path) == 401


def mlflow_routes() -> Iterator[tuple[str, str]]:
    """Yield every method and path of MLflow's server."""
    from mlflow.server import app as flask_app
    from mlflow.server.fastapi_app import app

    def walk(routes, prefix=""):
        for route in routes:
            below = getattr(route, "original_router", None)
            if below is not None:
                inside = prefix + getattr(route.include_context, "prefix", "")
                yield from walk(below.routes, inside)
            elif getattr(route, "methods", None):
                yield from ((method, prefix + route.path) for method in route.methods)

    yield from walk(app.routes)
    for rule in flask_app.url_map.iter_rules():
        yield from ((method, rule.rule) for method in rule.methods - {"HEAD", "OPTIONS"})


def test_of_mlflows_routes_those_are_served_that_are_named_and_no_others():
    routes = {
        (method, path) for method, path in mlflow_routes() if method not in ("HEAD", "OPTIONS")
    }
    assert len(routes) > 380
    dangerous = (
        "assistant", "gateway", "/jobs", "mcp-server", "webhooks", "upload-artifact", "scorer",
        "demo", "promptlab", "genai", "v1/traces", "prompt-optimization", "mlflow-artifacts",
        "workspaces",
        "presigned", "datasets/", "review-queues",
    )  # fmt: skip
    for word in dangerous:
        assert any(word in path for _, path in routes), word
    served = {(method, path) for method, path in routes if mlflow_serves(method, path)}
    assert [path for _, path in served if any(word in path for word in dangerous)] == []
    named = {
        (method, f"/{api}/2.0/mlflow/{noun}/{verb}")
        for noun, verbs in TRACKING.items()
        for method, those in verbs.items()
        for verb in those.split()
        for api in ("api", "ajax-api")
    }
    others = {
        ("GET", "/"), ("GET", "/health"), ("GET", "/version"), ("GET", "/get-artifact"),
        ("GET", "/model-versions/get-artifact"), ("GET", "/static-files/<path:path>"),
        ("POST", "/graphql"), ("GET", "/api/3.0/mlflow/server-info"),
        ("GET", "/ajax-api/3.0/mlflow/server-info"), ("POST", "/ajax-api/3.0/mlflow/traces/search"),
    }  # fmt: skip
    # an upgrade that brings a route is seen here, and so is a name that MLflow no longer has
    assert served - named - others == set()
    assert {path for _, path in (named | others) - served if "/api/" not in path} == set()


def test_a_teams_clients_can_upload_and_its_administrator_can_make_accounts():
    for method, path in (
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/1/a/artifacts/x.json"),
        ("POST", "/api/2.0/mlflow/users/create"),
    ):
        assert mlflow_serves(method, path, team=True) and not mlflow_serves(method, path)
    assert not mlflow_serves("POST", "/ajax-api/3.0/mlflow/assistant/message", team=True)
