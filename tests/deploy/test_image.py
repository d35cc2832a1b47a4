# SPDX-License-Identifier: MPL-2.0
"""Builds the container image and runs it as a cluster would: user 65532, read-only, without a single capability."""

from __future__ import annotations

import json
import os
import resource
import shutil
import stat
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

pytestmark = pytest.mark.image

IMAGE = "localhost/freshwire:test"
SIZE_MAX_BYTES = 60 * 1024 * 1024
SETTLE_S = 20.0
STOP_S_MAX = 10


@pytest.fixture(scope="module")
def podman(root: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    assert shutil.which("podman"), "podman is missing: apt-get install what scripts/apt-packages-image.txt lists"
    environment = dict(os.environ)
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 1048576:
        environment.setdefault("CONTAINERS_CONF", str(root / "deploy/containers.conf"))

    def run(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["podman", *arguments], capture_output=True, text=True, check=False, env=environment, timeout=300
        )
        assert not check or done.returncode == 0, f"podman {' '.join(arguments)}: {done.stderr}"
        return done

    return run


@pytest.fixture(scope="module")
def image(root: Path, podman: Callable[..., subprocess.CompletedProcess[str]]) -> dict[str, Any]:
    built = subprocess.run([root / "deploy/build-image", IMAGE], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-4000:]
    return json.loads(podman("image", "inspect", IMAGE).stdout)[0]


@pytest.fixture(scope="module")
def files(image: dict[str, Any], podman: Callable[..., subprocess.CompletedProcess[str]]) -> Iterator[Path]:
    folder = podman("image", "mount", IMAGE).stdout.strip()
    yield Path(folder)
    podman("image", "unmount", IMAGE)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Redis on a socket file, which needs no network between it and the container."""
    folder = tmp_path_factory.mktemp("redis")
    folder.chmod(0o755)
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", str(folder / "redis.sock"), "--unixsocketperm", "777"]
        + ["--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: (folder / "redis.sock").exists(), "Redis listens")
        yield folder
    finally:
        server.terminate()
        server.wait(10)


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    pytest.fail(f"not within {SETTLE_S} s: {what}")


class Container:
    """One running container, with its public and admin ports on this machine."""

    def __init__(self, podman: Callable[..., subprocess.CompletedProcess[str]], redis: Path) -> None:
        self.podman = podman
        self.name = f"freshwire-test-{uuid.uuid4().hex[:8]}"
        podman(
            *("run", "--detach", "--name", self.name, "--read-only", "--cap-drop=ALL"),
            *("--security-opt=no-new-privileges", "--publish", "127.0.0.1::8080", "--publish", "127.0.0.1::9090"),
            *("--volume", f"{redis}:/run/redis", "--env", "FRESHWIRE_WORKER_REDIS_URL=unix:///run/redis/redis.sock"),
            *("--env", "FRESHWIRE_GATEWAY_PUBLISH_KEYS=key-of-the-test", IMAGE),
        )

    def url(self, port: int) -> str:
        address = self.podman("port", self.name, str(port)).stdout.strip()
        return f"http://{address}"

    def ready(self) -> bool:
        try:
            return urllib.request.urlopen(f"{self.url(9090)}/readyz", timeout=2).status == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def log(self) -> str:
        done = self.podman("logs", self.name, check=False)
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def container(
    image: dict[str, Any], podman: Callable[..., subprocess.CompletedProcess[str]], redis: Path
) -> Iterator[Container]:
    one = Container(podman, redis)
    try:
        wait_until(one.ready, f"the container is ready; its log: {one.log()}")
        yield one
    finally:
        podman("rm", "--force", "--time", "0", one.name, check=False)


def test_the_image_is_small(image: dict[str, Any]) -> None:
    assert image["Size"] < SIZE_MAX_BYTES


def test_the_image_says_what_it_is(image: dict[str, Any]) -> None:
    config = image["Config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["/usr/bin/freshwire"]
    assert config["Labels"]["org.opencontainers.image.licenses"] == "MPL-2.0"
    assert len(config["Labels"]["org.opencontainers.image.revision"]) == 40
    assert image["HealthCheck" if "HealthCheck" in image else "Healthcheck"]["Test"] == [
        "CMD",
        "/usr/bin/freshwire",
        "healthcheck",
    ]


def test_nothing_in_the_image_helps_an_intruder(files: Path) -> None:
    programs = []
    for path in files.rglob("*"):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            assert not mode & (stat.S_ISUID | stat.S_ISGID), path
            assert not mode & stat.S_IWOTH, path
            if path.parent.name in ("bin", "sbin"):
                programs.append(path.name)
    assert programs == ["freshwire"]


def test_scanners_see_every_package_in_the_image(files: Path) -> None:
    status = {path.name for path in (files / "var/lib/dpkg/status.d").iterdir()}
    assert {"libc6", "libzmq5", "libwebsockets17", "libwebsockets-evlib-uv", "libssl3", "zlib1g"} <= status
    for name in status:
        assert "Version: " in (files / "var/lib/dpkg/status.d" / name).read_text()


def test_it_runs_without_rights(container: Container) -> None:
    process = json.loads(container.podman("inspect", container.name).stdout)[0]["State"]["Pid"]
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines() if ":\t" in line)
    assert status["Uid"].split() == ["65532"] * 4
    assert int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"


def test_its_health_check_passes(container: Container) -> None:
    checked = container.podman("healthcheck", "run", container.name, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_an_event_is_purged_and_acknowledged(container: Container, redis: Path) -> None:
    subprocess.run(["redis-cli", "-s", redis / "redis.sock", "set", "projects:all", "old"], check=True, capture_output=True)
    event = {
        "type": "project_updated",
        "data": {"id": "42"},
        "audience": ["broadcast"],
        "invalidate": {"keys": ["projects:all"]},
    }
    request = urllib.request.Request(
        f"{container.url(8080)}/v1/events",
        json.dumps(event).encode(),
        {"Authorization": "Bearer key-of-the-test", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        answer = json.load(response)
    assert answer["positions"][0]["channel"] == "broadcast"
    assert answer["unconfirmed"] is False
    left = subprocess.run(
        ["redis-cli", "-s", redis / "redis.sock", "exists", "projects:all"], check=True, capture_output=True, text=True
    )
    assert left.stdout.strip() == "0"


def test_it_stops_in_order_when_asked(container: Container) -> None:
    began = time.monotonic()
    container.podman("stop", "--time", str(STOP_S_MAX), container.name)
    assert time.monotonic() - began < STOP_S_MAX
    state = json.loads(container.podman("inspect", container.name).stdout)[0]["State"]
    assert state["ExitCode"] == 0, container.log()
