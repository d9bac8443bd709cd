"""What the machine around says, and does not mean us: proxies, schedulers, other people's runs.

Our servers are on this machine, and our trainings start their own processes: variables that a
company's proxy, a cluster's scheduler or another tool sets are ignored where they would mislead.
"""

import importlib.util
import os
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from tasks.running.errors import UserError

LOOPBACK = "127.0.0.1,localhost,::1"
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
# Lightning and accelerate take a process that has these for one of many, and wait for the others.
SCHEDULERS = (
    "WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "NODE_RANK",
    "MASTER_ADDR", "MASTER_PORT", "SLURM_", "PMI_", "PMIX_", "OMPI_", "TORCHELASTIC_", "JSM_",
    "LSB_",
)  # fmt: skip
FOREIGN = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_TRACKING_DIR")
# in the address of a database or a file they mean something, or make a browser ask for another one
UNUSABLE = "%?#"
SECONDS_TO_ANSWER = 10


def ignore_foreign() -> None:
    """Take out of the environment what would lead libraries astray; once, for all children."""
    for name in ("no_proxy", "NO_PROXY"):
        listed = [part for part in os.environ.get(name, "").split(",") if part]
        more = [part for part in LOOPBACK.split(",") if part not in listed]
        os.environ[name] = ",".join(listed + more)
    for name in FOREIGN:
        os.environ.pop(name, None)
    for name in (form for proxy in PROXIES for form in (proxy, proxy.upper())):
        scheme = urlsplit(os.environ.get(name, "http:")).scheme
        if scheme not in ("http", "https") and not _socks(scheme):
            value = os.environ.pop(name)
            print(f"{name}={value} is not used: no client here speaks {scheme}", file=sys.stderr)


def _socks(scheme: str) -> bool:
    return scheme in ("socks5", "socks5h") and importlib.util.find_spec("socksio") is not None


def alone() -> None:
    """Forget what a scheduler said about processes: a stage is one, and starts its own others."""
    for name in [name for name in os.environ if name.startswith(SCHEDULERS)]:
        del os.environ[name]


def check_place(root: Path) -> None:
    """Stop before anything starts where paths cannot be used.

    Raises:
        UserError: The checkout's path has a character that means something in addresses.
    """
    if odd := sorted(set(str(root)) & set(UNUSABLE)):
        raise UserError(
            f"The checkout cannot stand in {root}",
            f"{' and '.join(odd)} mean something else in the address of a database",
            "rename that folder, or clone to another place",
        )


def check_reachable(server: str) -> None:
    """Ask a server for a sign of life, so that nobody waits for minutes without a word.

    Args:
        server: An http(s) address; others are no servers and pass.

    Raises:
        UserError: There is no answer.
    """
    if urlsplit(server).scheme not in ("http", "https"):
        return
    # not verified: nothing secret is said, and whose certificate it is its clients find out
    anyone = ssl._create_unverified_context()
    try:
        urllib.request.urlopen(
            f"{server.rstrip('/')}/health", timeout=SECONDS_TO_ANSWER, context=anyone
        ).read()
    except urllib.error.HTTPError:
        return  # it is there, and may want to know who asks
    except (OSError, ValueError) as error:
        raise UserError(
            f"{server} does not answer",
            str(getattr(error, "reason", error)),
            "start it or correct MLFLOW_TRACKING_URI, or unset that to use the checkout's own",
        ) from None
