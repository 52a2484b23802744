"""Counts and latencies of served entities in the text format that Prometheus reads, under the platform's names."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field

_BOUNDS_MS = (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000)


@dataclass
class _Counts:
    total: int = 0
    client_errors: int = 0
    server_errors: int = 0
    sum_ms: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(_BOUNDS_MS) + 1))


class Metrics:
    """Of one endpoint, since the server started."""

    def __init__(self) -> None:
        self._entities: dict[str, _Counts] = defaultdict(_Counts)

    def add(self, entity: str, status: int, duration_ms: float) -> None:
        """One answered request."""
        counts = self._entities[entity]
        counts.total += 1
        counts.client_errors += 400 <= status < 500
        counts.server_errors += status >= 500
        counts.sum_ms += duration_ms
        counts.buckets[bisect_left(_BOUNDS_MS, duration_ms)] += 1

    def text(self, endpoint_name: str, endpoint_id: str) -> str:
        """All metrics, in the exposition format."""
        lines: list[str] = []
        rows = (
            ("request_count_total", "total"),
            ("request_4xx_count_total", "client_errors"),
            ("request_5xx_count_total", "server_errors"),
        )
        labels = {
            entity: f'endpoint_name="{endpoint_name}",endpoint_id="{endpoint_id}",served_model_name="{entity}"'
            for entity in self._entities
        }
        for name, attribute in rows:
            lines.append(f"# TYPE {name} counter")
            lines += [f"{name}{{{labels[e]}}} {getattr(counts, attribute)}" for e, counts in self._entities.items()]
        lines.append("# TYPE request_latency_ms histogram")
        for entity, counts in self._entities.items():
            cumulative = 0
            for bound, count in zip((*_BOUNDS_MS, "+Inf"), counts.buckets, strict=True):
                cumulative += count
                lines.append(f'request_latency_ms_bucket{{{labels[entity]},le="{bound}"}} {cumulative}')
            lines.append(f"request_latency_ms_sum{{{labels[entity]}}} {counts.sum_ms:.1f}")
            lines.append(f"request_latency_ms_count{{{labels[entity]}}} {counts.total}")
        return "\n".join(lines) + "\n"
