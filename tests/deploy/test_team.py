"""The team set-up of `deploy/`, without containers: PostgreSQL, an S3 store, servers, two runners.

Servers are started with the commands and variables of `deploy/compose.yaml` behind a real nginx
with TLS and `deploy/nginx.conf`; only addresses differ. Everybody asks for the public names.
"""

import base64
import http.client
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import psutil
import psycopg2
import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_SSL_CERT_FILE, temporary_settings

import mlflow
from tests.deploy.proxy import NGINX, answers, nginx, own_certificate
from tests.flows.conftest import environment, run
from tests.flows.servers import form, free_port, state, wait_for_state, wait_until
from tests.flows.test_chain import stages_alive
from tests.flows.test_reinforce import SMALL

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
BUCKET = "collimate"

pytestmark = [
    pytest.mark.chain,
    pytest.mark.skipif(not POSTGRES, reason="apt-get install postgresql"),
    pytest.mark.skipif(NGINX is None, reason="`make test` unpacks nginx"),
]


@dataclass
class Team:
    """Running servers, and what a runner must know of them."""

    prefect: str
    mlflow: str
    store: str
    secrets: dict[str, str]
    certificate: str
    inside: dict[str, str]  # the servers' own addresses, which nobody else should use

    def runner(self, root: Path) -> dict[str, str]:
        """Return a runner's variables, as `deploy/README.md` lists them."""
        return environment(root) | {
            "PREFECT_API_URL": f"{self.prefect}/api",
            "PREFECT_API_AUTH_STRING": self.secrets["PREFECT_AUTH"],
            "PREFECT_HOME": str(root / ".runtime" / "prefect"),
            "MLFLOW_TRACKING_URI": self.mlflow,
            "MLFLOW_TRACKING_USERNAME": self.secrets["MLFLOW_ADMIN"],
            "MLFLOW_TRACKING_PASSWORD": self.secrets["MLFLOW_ADMIN_PASSWORD"],
            "COLLIMATE_MLFLOW_UI": self.mlflow,
            "PREFECT_API_SSL_CERT_FILE": self.certificate,
            "MLFLOW_TRACKING_SERVER_CERT_PATH": self.certificate,
            "OMP_NUM_THREADS": "1",
        }

    def api(self, signed: bool = True) -> SyncPrefectClient:
        """Return Prefect's client, with the password or without it."""
        who = self.secrets["PREFECT_AUTH"] if signed else None
        with temporary_settings({PREFECT_API_SSL_CERT_FILE: self.certificate}):
            return SyncPrefectClient(f"{self.prefect}/api", auth_string=who)


@pytest.fixture(scope="module")
def secrets() -> dict[str, str]:
    return {
        "POSTGRES_PASSWORD": "p-secret", "PREFECT_AUTH": "team:pf-secret", "MLFLOW_ADMIN": "admin",
        "MLFLOW_ADMIN_PASSWORD": "ml-secret-1234", "MLFLOW_SECRET_KEY": "k" * 40, "S3_KEY": "key",
        "S3_SECRET": "s3-secret", "S3_ARTIFACTS": f"s3://{BUCKET}/mlflow",
    }  # fmt: skip


@pytest.fixture(scope="module")
def database(secrets) -> Iterator[str]:
    """PostgreSQL as compose.yaml configures it; yields its port."""
    port, folder = free_port(), Path(tempfile.mkdtemp(prefix="postgres"))
    password = folder / "password"
    password.write_text(secrets["POSTGRES_PASSWORD"])
    who = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        who = {"user": "postgres", "group": "postgres", "extra_groups": []}
        for path in (folder, password):
            shutil.chown(path, "postgres", "postgres")

    def do(program: str, *words: str) -> None:
        command = [str(POSTGRES[-1] / program), "--pgdata", str(folder / "data"), *words]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, **who)

    do("initdb", "--username", "collimate", "--pwfile", str(password), "--auth", "scram-sha-256")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    do("pg_ctl", "start", "--wait", "--options", options, "--log", str(folder / "log"))
    try:
        login = {"host": "127.0.0.1", "port": port, "user": "collimate"}
        connection = psycopg2.connect(
            dbname="postgres", password=secrets["POSTGRES_PASSWORD"], **login
        )
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE prefect")  # compose: POSTGRES_DB
            for line in (DEPLOY / "databases.sql").read_text().splitlines():
                cursor.execute(line)
        connection.close()
        yield port
    finally:
        do("pg_ctl", "stop", "--mode", "immediate")
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def store(secrets) -> Iterator[str]:
    """An S3-compatible store with an empty bucket."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "--port", port], stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    answers(address)
    boto3.client(
        "s3", endpoint_url=address, region_name="us-east-1",
        aws_access_key_id=secrets["S3_KEY"], aws_secret_access_key=secrets["S3_SECRET"],
    ).create_bucket(Bucket=BUCKET)  # fmt: skip
    yield address
    server.terminate()
    server.wait()


@pytest.fixture(scope="module")
def team(secrets, database, store, tmp_path_factory) -> Iterator[Team]:
    home = tmp_path_factory.mktemp("servers")
    ports = {"4200": free_port(), "5000": free_port()}
    public = {port: f"https://localhost:{free_port()}" for port in ports}
    known = secrets | {
        "S3_ENDPOINT": store,
        "PREFECT_PUBLIC_URL": public["4200"],
        "MLFLOW_PUBLIC_URL": public["5000"],
    }
    ini = home / "mlflow_auth.ini"

    def here(text: str) -> str:
        text = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: known[found[1]], text)
        text = text.replace("postgres:5432", f"127.0.0.1:{database}").replace(
            "0.0.0.0", "127.0.0.1"
        )
        return ports.get(text, text).replace("/etc/collimate/mlflow_auth.ini", str(ini))

    shutil.copy(DEPLOY.parent / "flows" / "platform" / "gate.py", home)  # as the image does
    ini.write_text(here((DEPLOY / "mlflow_auth.ini").read_text()))
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    servers = []
    for name in ("prefect", "mlflow"):
        variables = {key: here(value) for key, value in services[name]["environment"].items()}
        servers.append(
            subprocess.Popen(
                [sys.executable, "-m", *map(here, services[name]["command"])], cwd=home,
                env=environment(home) | {"PREFECT_HOME": str(home)} | variables,
                stdout=(home / f"{name}.log").open("w"), stderr=subprocess.STDOUT,
            )
        )  # fmt: skip
    certificate = own_certificate(home)
    servers.append(nginx(home, ports, public))
    inside = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    made = Team(public["4200"], public["5000"], store, secrets, certificate, inside)
    try:
        answers(f"{inside['4200']}/api/health", servers[0], home / "prefect.log")
        answers(f"{inside['5000']}/health", servers[1], home / "mlflow.log")
        yield made
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait(60)


@pytest.fixture(scope="module")
def worktrees(make_checkout, team) -> list[Path]:
    """Two worktrees of one repository, with a DVC cache in common and the remote on S3."""
    first = make_checkout(SMALL)
    second = first.with_name("second")
    dvc(first, "remote", "add", "--default", "store", f"s3://{BUCKET}/dvc")
    dvc(first, "remote", "modify", "store", "endpointurl", team.store)
    dvc(first, "remote", "modify", "store", "verify", "true")
    git = ["git", "-c", "user.name=Team", "-c", "user.email=team@example.org"]
    subprocess.run([*git, "add", "--all"], cwd=first, check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", "Start"], cwd=first, check=True)
    subprocess.run([*git, "worktree", "add", "--quiet", str(second)], cwd=first, check=True)
    dvc(first, "cache", "dir", "--local", str(first.with_name("cache")))
    shutil.move(first / ".dvc" / "cache", first.with_name("cache"))
    for root in (first, second):
        dvc(root, "cache", "dir", "--local", str(first.with_name("cache")))
        dvc(root, "remote", "modify", "--local", "store", "access_key_id", team.secrets["S3_KEY"])
        dvc(
            root,
            "remote",
            "modify",
            "--local",
            "store",
            "secret_access_key",
            team.secrets["S3_SECRET"],
        )
    for root in (first, second):
        (root / ".runtime").mkdir(exist_ok=True)
    return [first, second]


def dvc(root: Path, *words: str) -> None:
    done = run(root, "dvc", *words)
    assert done.returncode == 0, done.stdout + done.stderr


def contents(root: Path) -> dict[str, bytes]:
    folders = (root / "data", root / "outputs" / "base", root / "outputs" / "habits")
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def test_both_servers_refuse_whoever_has_no_password(team):
    with pytest.raises(PrefectHTTPStatusError, match="401"):
        team.api(signed=False).read_flows()
    assert team.api().read_flows() == []
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask(team, f"{team.mlflow}/api/2.0/mlflow/experiments/get?experiment_id=0")


def ask(
    team: Team, address: str, body: bytes | None = None, **headers: str
) -> http.client.HTTPResponse:
    secure = ssl.create_default_context(cafile=team.certificate)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(address, data=body, headers=named)
    return urllib.request.urlopen(request, context=secure, timeout=20)


def test_neither_server_answers_to_another_name_origin_or_route(team):
    account = f"{team.secrets['MLFLOW_ADMIN']}:{team.secrets['MLFLOW_ADMIN_PASSWORD']}"
    known = "Basic " + base64.b64encode(account.encode()).decode()
    search = f"{team.mlflow}/ajax-api/2.0/mlflow/experiments/search?max_results=5"
    assert ask(team, search, Authorization=known, Origin=team.mlflow).status == 200
    assistant = f"{team.mlflow}/ajax-api/3.0/mlflow/assistant"
    for address, body, headers, status in (
        (search, None, {"Host": "mlflow.example.org"}, 421),
        (search, None, {"Origin": team.prefect}, 403),
        (search, None, {"Origin": "http://localhost:9999"}, 403),
        (f"{assistant}/config", None, {}, 404),
        (f"{assistant}/message", b"{}", {}, 404),
        (f"{team.mlflow}/api/2.0/mlflow/gateway-proxy", b"{}", {}, 404),
    ):
        with pytest.raises(urllib.error.HTTPError, match=str(status)):
            ask(team, address, body, Authorization=known, **headers)
    with pytest.raises(urllib.error.HTTPError, match="421"):  # past the proxy
        urllib.request.urlopen(f"{team.inside['5000']}/ajax-api/2.0/mlflow/experiments/search")


def test_what_is_pushed_to_the_store_is_pulled_elsewhere_with_its_bytes(team, worktrees, tmp_path):
    first, _ = worktrees
    dvc(first, "push", "data.dvc", "base", "habits", "few_shot_world")
    elsewhere = tmp_path / "elsewhere"
    subprocess.run(["git", "clone", "--quiet", str(first), str(elsewhere)], check=True)
    for name, value in (("access_key_id", "S3_KEY"), ("secret_access_key", "S3_SECRET")):
        dvc(elsewhere, "remote", "modify", "--local", "store", name, team.secrets[value])
    pulled = run(elsewhere, "tasks.running.pull", "data.dvc", "base", "habits", "few_shot_world")
    assert pulled.returncode == 0, pulled.stdout + pulled.stderr
    assert contents(elsewhere) == contents(first)


@pytest.fixture(scope="module")
def offered(team, worktrees) -> None:
    """The flows, offered from the first worktree."""
    done = subprocess.run(
        [sys.executable, "-m", "flows.platform.team", "offer"], cwd=worktrees[0],
        env=team.runner(worktrees[0]), text=True, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("offered")
@pytest.mark.night  # two chains at once: minutes of computing
@pytest.mark.timeout(1200)
def test_two_runners_work_at_once_in_their_own_worktrees(team, worktrees):
    first, second = worktrees
    dvc(second, "checkout", "data.dvc", "base", "habits", "few_shot_world")  # from the cache
    assert contents(second) == contents(first)
    workers = [work(team, root) for root in worktrees]
    try:
        api = team.api()
        offered = form(api, "reinforce/team")
        flow_runs = []
        for seed in (1, 2):
            settings = offered.parameters["settings"] | {"seed": seed}
            made = api.create_flow_run_from_deployment(
                offered.id, parameters={"settings": settings}
            )
            flow_runs.append(str(made.id))
        wait_until(lambda: {state(api, run) for run in flow_runs} == {"RUNNING"}, 120)  # at once
        states = [wait_for_state(api, run, seconds=500) for run in flow_runs]
        logs = [(root / ".runtime" / "worker.log").read_text()[-3000:] for root in worktrees]
        assert states == ["COMPLETED", "COMPLETED"], logs
        assert "Nothing to repair" in doctor(team, second)
    finally:
        for worker in workers:
            stop(worker)
    seeds = {yaml.safe_load((root / "params.yaml").read_text())["seed"] for root in worktrees}
    assert seeds == {1, 2}
    for root in worktrees:
        assert (root / "outputs" / "few_shot_page" / "index.html").exists()
    assert_runs_are_kept(team, flow_runs)


def work(team: Team, root: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "flows.platform.team", "work"], cwd=root, env=team.runner(root),
        stdout=(root / ".runtime" / "worker.log").open("a"), stderr=subprocess.STDOUT,
    )  # fmt: skip


def stop(worker: subprocess.Popen) -> None:
    """End Prefect's worker; just after the end of a flow it may miss the first request."""
    worker.terminate()
    try:
        worker.wait(20)
    except subprocess.TimeoutExpired:
        worker.terminate()
        worker.wait(20)


def doctor(team: Team, root: Path) -> str:
    return subprocess.run(
        [sys.executable, "-m", "flows.platform.doctor"], cwd=root, env=team.runner(root), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ).stdout  # fmt: skip


@pytest.mark.usefixtures("offered")
def test_a_runner_that_is_killed_with_its_flow_is_repaired_by_its_own_doctor(team, worktrees):
    first, _ = worktrees
    api, worker = team.api(), work(team, first)
    offered = form(api, "reinforce/team")
    settings = offered.parameters["settings"] | {"seed": 3}
    made = api.create_flow_run_from_deployment(offered.id, parameters={"settings": settings})
    wait_until(lambda: stages_alive(first), 120)
    flow = psutil.Process(worker.pid).children(recursive=True)
    for process in [worker, *flow]:  # the worker first, or it would tell of the end of the flow
        process.kill()
    worker.wait()
    wait_until(lambda: not stages_alive(first), 20)
    assert state(api, made.id) == "RUNNING"
    told = doctor(team, first)
    assert "marked as crashed" in told and "ended as KILLED" in told
    assert state(api, made.id) == "CRASHED"


def assert_runs_are_kept(team: Team, flow_runs: list[str]) -> None:
    """Both chains are in MLflow, and their pages come back from the S3 store."""
    names = {
        "MLFLOW_TRACKING_USERNAME": "MLFLOW_ADMIN",
        "MLFLOW_TRACKING_PASSWORD": "MLFLOW_ADMIN_PASSWORD",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, secret in names.items():
            patch.setenv(name, team.secrets[secret])
        patch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", team.certificate)
        client = mlflow.MlflowClient(team.mlflow)
        experiment = client.get_experiment_by_name("collimate")
        chains = client.search_runs([experiment.experiment_id], "tags.flow = 'reinforce'")
        assert {run.data.tags["prefect.flow_run_id"] for run in chains} == set(flow_runs)
        for chain in chains:
            assert chain.info.status == "FINISHED"
            page = mlflow.artifacts.download_artifacts(
                run_id=chain.info.run_id, artifact_path="index.html", tracking_uri=team.mlflow
            )
            assert "<svg" in Path(page).read_text()
