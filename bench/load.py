"""A closed-loop load, in a process of its own: N callers, each asking again as soon as it was answered."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """Requests per second, and latencies in milliseconds."""

    throughput: float
    p50: float
    p99: float


def measure(url: str, body: object, callers: int, seconds: float, token: str = "") -> Load:
    """The load's figures; raises when a single answer is not 200."""
    job = json.dumps({"url": url, "body": body, "callers": callers, "seconds": seconds, "token": token})
    # The job goes over standard input: command lines are visible to everybody.
    result = subprocess.run(
        [sys.executable, "-m", "bench.load"], input=job, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise RuntimeError(f"the load generator failed: {result.stderr[-2000:]}")
    return Load(**json.loads(result.stdout))


async def _drive(url: str, body: object, callers: int, seconds: float, token: str) -> Load:
    import aiohttp

    latencies: list[float] = []
    payload = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=callers), headers=headers) as session:

        async def caller(until: float, counted: bool) -> None:
            while (begin := time.perf_counter()) < until:
                async with session.post(url, data=payload) as response:
                    text = await response.read()
                    if response.status != 200:
                        raise RuntimeError(f"{response.status}: {text[:500]!r}")
                if counted:
                    latencies.append((time.perf_counter() - begin) * 1000)

        warm = time.perf_counter() + min(2.0, seconds / 4)
        await asyncio.gather(*(caller(warm, counted=False) for _ in range(callers)))
        begin = time.perf_counter()
        await asyncio.gather(*(caller(begin + seconds, counted=True) for _ in range(callers)))
        took = time.perf_counter() - begin
    latencies.sort()
    return Load(len(latencies) / took, latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)])


if __name__ == "__main__":
    from dataclasses import asdict

    print(json.dumps(asdict(asyncio.run(_drive(**json.load(sys.stdin))))))
