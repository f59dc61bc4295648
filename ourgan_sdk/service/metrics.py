"""What a service tells Prometheus."""

from collections.abc import Callable, Mapping

import psutil
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """Of one service: in a registry of its own, as a process may have several."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "ourgan_requests", "Requests answered", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "ourgan_request_seconds",
            "Until the answer's headers were sent",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        memory = Gauge("ourgan_memory_bytes", "Resident memory of the process", registry=self._registry)
        process = psutil.Process()
        memory.set_function(lambda: float(process.memory_info().rss))

    def count(self, route: str, status: int, seconds: float) -> None:
        """A request that was answered; `route` is one of few."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def watch(self, name: str, help_: str, value: Callable[[], float]) -> None:
        """Tell `value()` under that name, whenever somebody asks."""
        Gauge(name, help_, registry=self._registry).set_function(value)

    def watch_each(
        self, name: str, help_: str, label: str, values: Mapping[str, Callable[[], float]]
    ) -> None:
        """Tell several, by the value of a label."""
        gauge = Gauge(name, help_, [label], registry=self._registry)
        for key, value in values.items():
            gauge.labels(key).set_function(value)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)
