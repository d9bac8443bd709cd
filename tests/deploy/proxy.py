"""A real nginx with TLS and `deploy/nginx.conf` in front of a team's servers."""

import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNPACKED = Path(__file__).resolve().parents[2] / ".venv" / "nginx" / "usr" / "sbin" / "nginx"
NGINX = str(UNPACKED) if UNPACKED.exists() else shutil.which("nginx", path="/usr/sbin:/usr/bin")


def own_certificate(home: Path) -> str:
    """Make a certificate for localhost, and return its file."""
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
        "-keyout", "tls.key", "-out", "tls.crt",
    ]  # fmt: skip
    subprocess.run(command, cwd=home, check=True, capture_output=True)
    return str(home / "tls.crt")


def nginx(home: Path, ports: dict[str, str], public: dict[str, str]) -> subprocess.Popen:
    """Start nginx with `deploy/nginx.conf`, whose names, ports and certificates are ours."""
    text = (DEPLOY / "nginx.conf").read_text()
    text = re.sub(r"/etc/nginx/tls/\w+\.(crt|key)", rf"{home}/tls.\1", text)
    for port, address in public.items():
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{ports[port]}")
        text = text.replace("listen 443", f"listen 127.0.0.1:{address.rpartition(':')[2]}", 1)
    text = re.sub(r"server_name \S+;", "server_name localhost;", text)
    own = "".join(
        f"{kind}_temp_path {home}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "" if os.geteuid() else "user root;"  # another could not enter pytest's folders
    file = home / "nginx.conf"
    file.write_text(
        f"{user} daemon off; pid {home}/nginx.pid; error_log {home}/nginx.log; events {{}}"
        f"http {{ access_log off; {own} {text} }}"
    )
    return subprocess.Popen([NGINX, "-c", str(file), "-p", str(home)])


def answers(address: str, server: subprocess.Popen | None = None, log: Path | None = None) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert server is None or server.poll() is None, log.read_text()[-3000:]
        try:
            urllib.request.urlopen(address, timeout=5).read()
            return
        except urllib.error.HTTPError:  # it is there, and wants to know who asks
            return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"{address} does not answer: {log.read_text()[-3000:] if log else ''}")
