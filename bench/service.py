"""Starts `ourgan serve`: tiles for many, more than it can do, nonsense, and renders that are cancelled.

python -m bench.service PHOTO [--seconds 60] [--clients 32] [--crowd 256] [--canvas 16384x10922~7~extent=4]

Client and service share the machine's cores, so a service alone does more.
"""

import argparse
import asyncio
import contextlib
import functools
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.malformed import malformed_requests
from ourgan_sdk.service.iiif import TILE, scale_factors

_MALFORMED = 1000
_ADDRESSES = 8
"""Loopback addresses that a crowd comes from: each has its own share."""


@dataclass
class Answers:
    """What clients got: how many of which status, and after how many seconds those that were served."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def add(self, status: int, seconds: float) -> None:
        """One more."""
        self.statuses[status] += 1
        if status == 200:
            self.seconds.append(seconds)

    def quantile(self, share: float) -> float:
        """Milliseconds within which so many of the served were."""
        return 1000 * statistics.quantiles(self.seconds, n=1000)[round(share * 1000) - 1]

    def __str__(self) -> str:
        total = sum(self.statuses.values())
        return ", ".join(
            f"{status or 'broken'}: {count} ({count / total:.1%})"
            for status, count in sorted(self.statuses.items())
        )


def main() -> int:
    """Measure, print a table, and return 1 if something is not as it must be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--crowd", type=int, default=256)
    parser.add_argument("--canvas", default="16384x10922~7~extent=4", help="without its source")
    parser.add_argument("--only", choices=("tiles", "crowd", "nonsense", "cancel"), help="one of the four")
    parser.add_argument("--memory", default="2GiB")
    parser.add_argument("--tile-cache", default="8MiB", help="less than the tiles of the canvas take")
    options = parser.parse_args()
    source = re.sub(r"[^A-Za-z0-9._-]", "-", options.photo.stem)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"{source}{options.photo.suffix}").symlink_to(options.photo.resolve())
        link = next(Path(folder).iterdir())
        with _service(link, folder, "--memory", options.memory, "--tile-cache", options.tile_cache) as (
            port,
            process,
        ):
            bench = _Bench(port, process, source, f"{source}~{options.canvas}")
            failures = asyncio.run(bench.run(options.seconds, options.clients, options.crowd, options.only))
    for failure in failures:
        print(f"MISSED: {failure}")
    return 1 if failures else 0


@contextlib.contextmanager
def _service(photo: Path, folder: str, *options: str) -> Iterator[tuple[int, psutil.Process]]:
    """`ourgan serve` in a process of its own: its port, and the process, which Ctrl-C ends."""
    command = [sys.executable, "-m", "ourgan_sdk.cli", "serve", str(photo)]
    command += ["--port", "0", "--work", folder, "--no-viewer", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout is not None
            line = started.stdout.readline()
            match = re.search(r":(\d+) ", line)
            if match is None:
                raise SystemExit(f"the service did not start: {line}")
            yield int(match[1]), psutil.Process(started.pid)
        finally:
            started.terminate()
            code = started.wait(30)
    left = [path.name for path in Path(folder).glob("ourgan-serve-*")]
    print(f"ended            exit code {code}, {len(left)} files of renders left")


class _Bench:
    def __init__(self, port: int, process: psutil.Process, source: str, canvas: str) -> None:
        self._port = port
        self._process = process
        self._source = source
        self._canvas = canvas
        width, height = canvas.split("~")[1].split("x")
        self._size = int(width), int(height)

    async def run(self, seconds: float, clients: int, crowd: int, only: str | None) -> list[str]:
        """All measurements, one after the other; returns what is not as it must be."""
        failures: list[str] = []
        started = time.perf_counter()
        async with self._connection() as ask:
            status, _ = await ask("GET", f"/iiif/3/{self._canvas}/0,0,512,512/max/0/default.jpg")
        first = time.perf_counter() - started
        print(f"canvas           {self._canvas}: {status}, first tile after {first:.2f} s")
        for name, measure in (
            ("tiles", functools.partial(self._steady, seconds, clients)),
            ("crowd", functools.partial(self._overload, seconds / 3, crowd)),
            ("nonsense", self._malformed),
            ("cancel", self._cancel),
        ):
            if only in (None, name):
                failures += await measure()
        return failures

    async def _steady(self, seconds: float, clients: int) -> list[str]:
        memory: list[float] = []

        async def watch() -> None:
            while True:
                memory.append(self._memory())
                await asyncio.sleep(seconds / 60)

        watching = asyncio.create_task(watch())
        answers = await self._crowd(seconds, clients, addresses=1)
        watching.cancel()
        middle = statistics.median(memory[len(memory) // 3 : 2 * len(memory) // 3])
        last = statistics.median(memory[2 * len(memory) // 3 :])
        print(f"steady           {clients} clients for {seconds:.0f} s: {answers}")
        self._print_times(answers, seconds)
        print(
            f"  memory         {memory[0]:.0f} MB at the start, {middle:.0f} in the middle third, "
            f"{last:.0f} in the last, {max(memory):.0f} at most"
        )
        failures = [] if set(answers.statuses) == {200} else ["errors among the steady clients"]
        return failures + ([] if last <= 1.05 * middle + 8 else ["memory that grows"])

    async def _overload(self, seconds: float, crowd: int) -> list[str]:
        failures = []
        for addresses, what in ((_ADDRESSES, "addresses"), (1, "address")):
            answers = await self._crowd(seconds, crowd, addresses=addresses)
            print(f"overload         {crowd} clients of {addresses} {what} for {seconds:.0f} s: {answers}")
            self._print_times(answers, seconds)
            print(f"  memory         {self._memory():.0f} MB")
            if not set(answers.statuses) <= {200, 429, 503}:
                failures.append("a crowd gets other answers than 200, 429 and 503")
        return failures

    async def _malformed(self) -> list[str]:
        statuses: Counter[int] = Counter()
        waiting = malformed_requests(self._source, _MALFORMED)

        async def client() -> None:
            for request in waiting:
                statuses[await self._send(request)] += 1

        await asyncio.gather(*(client() for _ in range(8)))
        table = ", ".join(f"{status or 'closed'}: {count}" for status, count in sorted(statuses.items()))
        print(f"malformed        {_MALFORMED} requests: {table}")
        wrong = [status for status in statuses if status >= 500 and status != 503]
        async with self._connection() as ask:
            alive = (await ask("GET", "/health"))[0] == 200
            renders = json.loads((await ask("GET", "/api/renders"))[1])["renders"]
            for render in renders:  # those that were well-formed after all
                await ask("DELETE", f"/api/renders/{render['id']}")
        return [] if not wrong and alive else [f"malformed requests: {wrong or 'the service is gone'}"]

    async def _cancel(self) -> list[str]:
        """Renders that are cancelled in the middle: of the canvas itself, and as a network enlarges it.

        The first of each kind loads libraries and opens engines, which the service keeps.
        """
        failures = []
        for factor in (1, 4):
            for is_first in (True, False):
                before = self._memory()
                path = await self._render(factor)
                peak = 0.0
                for _ in range(60):
                    await asyncio.sleep(0.05)
                    peak = max(peak, self._memory())
                async with self._connection() as ask:
                    state = json.loads((await ask("GET", path))[1])
                    started = time.perf_counter()
                    status, _ = await ask("DELETE", path)
                ended, enough = time.perf_counter() - started, before + 0.25 * (peak - before)
                while (freed := time.perf_counter() - started) < 1 and self._memory() > enough:
                    await asyncio.sleep(0.01)
                share, which = state["done"] / max(1, state["total"]), "first" if is_first else "second"
                print(
                    f"cancel           the {which}, x{factor}, at {share:.0%}: {status} after {ended:.2f} s"
                )
                print(
                    f"  memory         {before:.0f} MB before, {peak:.0f} at work, "
                    f"{self._memory():.0f} after {freed:.2f} s"
                )
                if freed >= 1 and not is_first:
                    failures.append("a cancelled render's memory after a second")
        return failures

    async def _render(self, factor: int) -> str:
        """The path of a new render, so many times larger per side than the canvas."""
        order = {"canvas": self._canvas, "width": factor * self._size[0], "format": "tif"}
        async with self._connection() as ask:
            status, answer = await ask("POST", "/api/renders", json.dumps(order))
        if status != 201:
            raise SystemExit(f"no render: {status} {answer!r}")
        return f"/api/renders/{json.loads(answer)['id']}"

    async def _crowd(self, seconds: float, clients: int, *, addresses: int) -> Answers:
        answers, end = Answers(), time.perf_counter() + seconds

        async def client(index: int) -> None:
            random_ = random.Random(index)
            while time.perf_counter() < end:
                with contextlib.suppress(OSError, EOFError):
                    await self._ask_on(f"127.0.0.{index % addresses + 1}", random_, answers, end)
                    return
                answers.add(0, 0)  # the connection broke

        await asyncio.gather(*map(client, range(clients)))
        return answers

    async def _ask_on(self, address: str, random_: random.Random, answers: Answers, end: float) -> None:
        """Ask for tiles over one connection until the end; whoever is refused waits a while."""
        async with self._connection(address) as ask:
            while time.perf_counter() < end:
                started = time.perf_counter()
                status, _ = await ask("GET", self._tile(random_))
                answers.add(status, time.perf_counter() - started)
                if status != 200:
                    await asyncio.sleep(random_.uniform(0.2, 0.6))

    def _tile(self, random_: random.Random) -> str:
        """A tile of any scale, wherever: more of them than a cache holds."""
        factor = random_.choice(scale_factors(*self._size)[:-1])
        step = TILE * factor
        x, y = (random_.randrange(-(-side // step)) * step for side in self._size)
        w, h = min(step, self._size[0] - x), min(step, self._size[1] - y)
        return f"/iiif/3/{self._canvas}/{x},{y},{w},{h}/{-(-w // factor)},{-(-h // factor)}/0/default.jpg"

    def _print_times(self, answers: Answers, seconds: float) -> None:
        if len(answers.seconds) > 1:
            p50, p99 = answers.quantile(0.5), answers.quantile(0.99)
            print(
                f"  served         {len(answers.seconds) / seconds:.0f}/s, p50 {p50:.0f} ms, p99 {p99:.0f} ms"
            )

    def _memory(self) -> float:
        return float(self._process.memory_info().rss) / 1e6

    @contextlib.asynccontextmanager
    async def _connection(self, address: str = "127.0.0.1") -> AsyncIterator["_Ask"]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(address, 0))
        try:
            yield _Ask(reader, writer)
        finally:
            writer.close()

    async def _send(self, request: bytes) -> int:
        """The status that bytes get; 0 where the connection is closed without one."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        with contextlib.suppress(OSError):
            writer.write(request)
            await writer.drain()
        try:
            answer = await asyncio.wait_for(reader.read(), 30)
        except OSError:
            answer = b""
        finally:
            writer.close()
        match = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
        return int(match[1]) if match else 0


class _Ask:
    """Requests, one after the other, over one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def __call__(self, method: str, path: str, body: str = "") -> tuple[int, bytes]:
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
        lines += ["Content-Type: application/json"] if body else []
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        data = await self._reader.readexactly(int(length[1])) if length else b""
        return int(head[9:12]), data


if __name__ == "__main__":
    sys.exit(main())
