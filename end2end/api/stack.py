"""A throw-away `bagua up`, and somebody of every role on it."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = json.loads((ROOT / "docs/reference/openapi.json").read_text())
PASSWORD = "violet harbour kettle ladder"


def access_matrix():
    """Permission → roles that carry it, from the reviewed snapshot."""
    rows = [
        [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
        for line in (ROOT / "docs/access-matrix.md").read_text().splitlines()
        if line.startswith("|")
    ]
    roles = rows[0][2:]
    allowed = {row[0]: {role for role, cell in zip(roles, row[2:]) if cell} for row in rows[2:]}
    assert len(roles) >= 6 and len(allowed) >= 15, "docs/access-matrix.md is no table of roles any more"
    return roles, allowed


ROLES, ALLOWED = access_matrix()


class Person:
    """Somebody who is signed in. How a request says who sends it stands here and nowhere else."""

    def __init__(self, stack, role, name):
        self.role = role
        self.http = requests.Session()
        self.http.headers["Origin"] = stack.origin
        link = stack.bagua("admin", "create", f"{name}@example.org", "--role", role, "--name", name)
        token = re.search(r"token=([^\s&]+)", link).group(1)
        form = {"token": token, "name": name, "email": "", "password": PASSWORD}
        told = self.http.post(f"{stack.origin}/welcome", data=form, allow_redirects=False)
        assert told.status_code == 303 and "bagua_session" in self.http.cookies, (told.status_code, told.text[:500])
        self.origin = stack.origin

    def ask(self, kind, query=None):
        told = self.http.post(f"{self.origin}/api/v1/ask/{kind}", json=query or {})
        assert told.ok, (kind, told.text)
        return told.json()

    def submit(self, kind, operation):
        told = self.http.post(f"{self.origin}/api/v1/submit/{kind}", json={"input": operation})
        assert told.ok, (kind, told.text)
        return told.json()


class Stack:
    def __init__(self):
        self.port = int(os.environ.get("BAGUA_API_PORT", "3460"))
        self.origin = f"http://localhost:{self.port}"
        self.binary = os.environ.get("BAGUA_BIN") or f"{os.environ['CARGO_TARGET_DIR']}/debug/bagua"
        self.folder = Path(tempfile.mkdtemp(prefix="bagua-api-"))
        # PostgreSQL runs as another user when we are root and has to reach its folder.
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.log = self.folder / "up.log"
        command = [self.binary, "up", "--port", str(self.port), "--data", str(self.data)]
        with self.log.open("w") as log:
            # It ends with this process, however this process ends.
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "INT", *command], stdout=log, stderr=log)
        try:
            self.until(120, "bagua up is not ready", lambda: "bagua ready:" in self.log.read_text())
        except BaseException:
            self.stop()
            raise

    def until(self, seconds, what, done, pause=0.05):
        end = time.monotonic() + seconds
        while not done():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{what}:\n{self.log.read_text()}")
            time.sleep(pause)

    def bagua(self, *arguments):
        environment = {**os.environ, "BAGUA_DATA": str(self.data)}
        return subprocess.run(
            [self.binary, *arguments], env=environment, check=True, capture_output=True, text=True, timeout=30
        ).stdout

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        if keep := os.environ.get("BAGUA_E2E_OUTPUT"):
            shutil.copytree(self.data / "log", Path(keep) / "api-logs", dirs_exist_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
