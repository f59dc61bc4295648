"""The runtimes report nothing to their makers: there is no file of theirs and no connection."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_import import imported

ROOT = Path(__file__).parents[2]

WATCH = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void tell(const char* what) {
    int file = open(getenv("WATCHED"), O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (write(file, what, strlen(what)) < 0) abort();
    close(file);
}

int connect(int socket, const struct sockaddr* address, socklen_t length) {
    if (address->sa_family != AF_UNIX) tell("connect\\n");
    int (*real)(int, const struct sockaddr*, socklen_t) = dlsym(RTLD_NEXT, "connect");
    return real(socket, address, length);
}

int getaddrinfo(const char* node, const char* service, const struct addrinfo* hints, struct addrinfo** out) {
    int (*real)(const char*, const char*, const struct addrinfo*, struct addrinfo**);
    real = dlsym(RTLD_NEXT, "getaddrinfo");
    tell("getaddrinfo\\n");
    return real(node, service, hints, out);
}
"""

RENDER = """
import sys
from ourgan_sdk import Synthesizer
Synthesizer(sys.argv[1], engine=sys.argv[2], device="cpu", precision="fp32", detail="network").render(90, 60)
"""
EXPORT = "from trainers.bundling import assemble; assemble.import_onnxruntime()"
COMMAND = "from ourgan_sdk.cli import main; raise SystemExit(main(['doctor']))"


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that notes connections, where it is preloaded."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not sys.platform.startswith("linux") or compiler is None:
        pytest.skip("takes Linux and a C compiler")
    folder = tmp_path_factory.mktemp("watch")
    (folder / "watch.c").write_text(WATCH)
    library = folder / "watch.so"
    subprocess.run([compiler, "-shared", "-fPIC", folder / "watch.c", "-o", library, "-ldl"], check=True)
    return library


@pytest.mark.parametrize(
    ("code", "arguments"),
    [(RENDER, ["onnxruntime"]), (RENDER, ["openvino"]), (COMMAND, []), (EXPORT, [])],
    ids=["render", "render-openvino", "doctor", "trainers"],
)
def test_an_empty_home_stays_empty(
    bundle_path: Path, tmp_path: Path, watch: Path, code: str, arguments: list[str]
) -> None:
    if "openvino" in arguments:
        pytest.importorskip("openvino")
    home, seen = tmp_path / "home", tmp_path / "seen"
    home.mkdir()
    seen.touch()
    hidden = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"HOME": str(home), "LD_PRELOAD": str(watch), "WATCHED": str(seen)}
    command = [sys.executable, "-c", code, str(bundle_path), *arguments]
    subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, timeout=300)
    files = [path for path in home.rglob("*") if path.is_file()]
    assert [path for path in files if "ourgan_sdk" not in path.parts] == []  # of our own there may be one
    assert seen.read_text() == ""


def test_connections_are_seen(watch: Path, tmp_path: Path) -> None:
    code = "import socket; socket.socket().connect_ex(('127.0.0.1', 9)); socket.getaddrinfo('localhost', 9)"
    environment = os.environ | {"LD_PRELOAD": str(watch), "WATCHED": str(tmp_path / "seen")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
    assert (tmp_path / "seen").read_text() == "connect\ngetaddrinfo\n"


def test_a_variable_that_the_user_has_set_stays() -> None:
    code = (
        "import os; from ourgan_sdk.engines.runtimes import import_onnxruntime; import_onnxruntime();"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "true\n"


def test_onnxruntime_is_imported_in_one_place() -> None:
    paths = [
        path
        for folder in ("ourgan_sdk", "trainers", "export", "bench")
        for path in (ROOT / folder).rglob("*.py")
    ]
    assert [path for path in paths if "onnxruntime" in imported(path)] == []
    naming = [path for path in paths if 'import_optional("onnxruntime"' in path.read_text()]
    assert naming == [ROOT / "ourgan_sdk" / "engines" / "runtimes.py"]
