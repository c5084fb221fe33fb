"""A loopback server that takes its time: it answers OpenAI's chat completions after a delay, any number at once.

    python -m tests.benchmarks.slow_server --port 8123 --delay 0.5

``GET /stats`` says how many requests came, and how many were in flight at once at most.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from typing import Any

ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "bench",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": '{"ok": true}'}}],
    "usage": {"prompt_tokens": 120, "completion_tokens": 20, "total_tokens": 140},
}


class SlowServer:
    """Counts what comes, and answers it late."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._in_flight = 0
        self.stats = {"requests": 0, "in_flight_peak": 0}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = next(
                    (int(line.partition(":")[2]) for line in head.split("\r\n") if line.startswith("content-length:")),
                    0,
                )
                await reader.readexactly(length)
                await self._answer(writer, self.stats if head.startswith("get") else None)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, data: dict[str, Any] | None) -> None:
        if data is None:
            self.stats["requests"] += 1
            self._in_flight += 1
            self.stats["in_flight_peak"] = max(self.stats["in_flight_peak"], self._in_flight)
            await asyncio.sleep(self._delay)
            self._in_flight -= 1
        body = json.dumps(ANSWER if data is None else data).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()


async def run(port: int, delay: float) -> None:
    """Serve until the process is stopped."""
    server = await asyncio.start_server(SlowServer(delay).serve, "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one, and prints it")
    parser.add_argument("--delay", type=float, default=0.5, help="seconds an answer takes")
    args = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(args.port, args.delay))


if __name__ == "__main__":
    main()
