"""Bounded work: what is shared, what is refused, what ends when nobody waits for it, what is kept."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ourgan_sdk.errors import ClosedError, RenderCancelledError
from ourgan_sdk.service.admission import Clients, Workers
from ourgan_sdk.service.errors import BusyError
from ourgan_sdk.service.flights import Flights
from ourgan_sdk.service.tiles import Tiles
from ourgan_sdk.stopping import check_stop


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 20))


def until_stopped(begun: threading.Event, ended: list[bool]) -> None:
    """Work that goes on until it is told to end."""
    begun.set()
    try:
        while True:
            check_stop()
            threading.Event().wait(0.005)
    except RenderCancelledError:
        ended.append(True)
        raise


def test_workers_refuse_what_is_too_much() -> None:
    async def main() -> None:
        workers, go = Workers("pictures", 2, 1, retry_after=7), threading.Event()
        tasks = [asyncio.create_task(workers.run(go.wait)) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert workers.waiting == 1
        with pytest.raises(BusyError, match="too many pictures") as caught:
            await workers.run(go.wait)
        assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "7"})
        go.set()
        assert await asyncio.gather(*tasks) == [True] * 3
        assert await workers.run(lambda: 5) == 5
        await workers.close()
        with pytest.raises(BusyError, match="shut down"):
            await workers.run(lambda: 5)

    run(main)


def test_cancelled_work_ends_and_gives_its_thread_back() -> None:
    async def main() -> None:
        workers, begun, ended = Workers("pictures", 1, 5), threading.Event(), list[bool]()
        working = asyncio.create_task(workers.run(lambda: until_stopped(begun, ended)))
        waiting = asyncio.create_task(workers.run(lambda: ended.append(False)))
        await asyncio.get_running_loop().run_in_executor(None, begun.wait)
        for task in (waiting, working):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert ended == [True]  # nothing of it is left, and what waited was never begun
        assert await workers.run(lambda: 1) == 1
        await workers.close()

    run(main)


def test_clients_have_a_share_each() -> None:
    clients = Clients(2)
    with clients.one_more("a"), clients.one_more("a"):
        with pytest.raises(BusyError) as caught, clients.one_more("a"):
            pass
        assert caught.value.status == 429
        with clients.one_more("b"):
            pass
    with clients.one_more("a"):
        pass
    assert clients._counts == {}


def test_flights_are_shared() -> None:
    async def main() -> None:
        flights: Flights[str, int] = Flights()
        begun = 0

        async def work() -> int:
            nonlocal begun
            begun += 1
            await asyncio.sleep(0.02)
            return begun

        assert await asyncio.gather(*(flights.join("a", work) for _ in range(5))) == [1] * 5
        assert await flights.join("a", work) == 2
        assert len(flights) == 0

    run(main)


def test_a_flight_goes_on_for_those_who_stay() -> None:
    async def main() -> None:
        flights: Flights[str, str] = Flights()
        state = []

        async def work() -> str:
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                state.append("cancelled")
                raise
            return "done"

        leaves, stays = (asyncio.create_task(flights.join("a", work)) for _ in range(2))
        await asyncio.sleep(0.01)
        leaves.cancel()
        assert await stays == "done"
        assert state == []
        alone = asyncio.create_task(flights.join("a", work))
        await asyncio.sleep(0.01)
        alone.cancel()
        await asyncio.sleep(0.01)
        assert state == ["cancelled"]
        assert len(flights) == 0

    run(main)


def test_a_flight_lingers() -> None:
    async def main() -> None:
        flights: Flights[str, str] = Flights(linger=0.1)
        go, state = asyncio.Event(), []

        async def work() -> str:
            try:
                await go.wait()
            except asyncio.CancelledError:
                state.append("cancelled")
                raise
            return "done"

        flights.begin("a", work)
        await asyncio.sleep(0.02)
        again = asyncio.create_task(flights.join("a", work))
        await asyncio.sleep(0.15)
        go.set()
        assert await again == "done"
        go.clear()
        flights.begin("a", work)
        await asyncio.sleep(0.2)
        assert state == ["cancelled"]

    run(main)


def test_errors_reach_all_who_wait_and_nobody_else() -> None:
    async def main() -> None:
        flights: Flights[str, int] = Flights(linger=0.01)

        async def work() -> int:
            await asyncio.sleep(0.01)
            raise ValueError("no")

        results = await asyncio.gather(*(flights.join("a", work) for _ in range(3)), return_exceptions=True)
        assert [str(error) for error in results] == ["no"] * 3
        flights.begin("a", work)  # of which nobody hears
        await asyncio.sleep(0.05)
        assert len(flights) == 0

    run(main)


def test_what_waits_when_all_ends_hears_of_it() -> None:
    async def main() -> None:
        flights: Flights[str, None] = Flights()
        waiting = asyncio.create_task(flights.join("a", lambda: asyncio.sleep(60)))
        await asyncio.sleep(0.01)
        await flights.close()
        with pytest.raises(ClosedError, match="shut down"):
            await waiting

    run(main)


def test_tiles_are_kept_within_their_bytes() -> None:
    async def main() -> None:
        tiles = Tiles(5000)
        made = []

        async def make(key: str, size: int) -> bytes:
            made.append(key)
            return bytes(size)

        for key in "abcab":
            assert len(await tiles.get(key, lambda key=key: make(key, 1200))) == 1200
        assert made == ["a", "b", "c"]
        await tiles.get("d", lambda: make("d", 1200))  # c goes: a and b were asked for since
        await tiles.get("a", lambda: make("a", 1200))
        await tiles.get("c", lambda: make("c", 1200))
        assert made == ["a", "b", "c", "d", "c"]
        assert tiles.bytes <= 5000
        await tiles.get("large", lambda: make("large", 9000))
        await tiles.get("large", lambda: make("large", 9000))
        assert made[-2:] == ["large", "large"]
        assert (tiles.hits, tiles.misses) == (3, 7)

    run(main)


def test_no_tiles_are_kept_without_room() -> None:
    async def main() -> None:
        tiles, made = Tiles(0), []

        async def make() -> bytes:
            made.append(1)
            return b"x"

        await tiles.get("a", make)
        await tiles.get("a", make)
        assert len(made) == 2
        assert tiles.bytes == 0

    run(main)


def test_a_flight_lingers_from_the_last_who_asked() -> None:
    async def main() -> None:
        flights: Flights[str, None] = Flights(linger=0.2)
        flights.begin("a", lambda: asyncio.sleep(60))
        await asyncio.sleep(0.15)
        flights.begin("a", lambda: asyncio.sleep(60))
        await asyncio.sleep(0.1)
        assert len(flights) == 1
        await flights.close()

    run(main)


def test_nothing_begins_after_the_end() -> None:
    async def main() -> None:
        flights: Flights[str, None] = Flights()
        await flights.close()
        with pytest.raises(ClosedError, match="shut down"):
            await flights.join("a", lambda: asyncio.sleep(60))

    run(main)


def test_workers_end_what_nobody_has_cancelled() -> None:
    async def main() -> None:
        workers, begun, ended = Workers("pictures", 1, 0), threading.Event(), list[bool]()
        working = asyncio.create_task(workers.run(lambda: until_stopped(begun, ended)))
        await asyncio.get_running_loop().run_in_executor(None, begun.wait)
        await workers.close()
        assert ended == [True]
        assert workers.at_work == 0
        with pytest.raises(RenderCancelledError):
            await working

    run(main)
