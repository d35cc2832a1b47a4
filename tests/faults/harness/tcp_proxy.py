# SPDX-License-Identifier: MPL-2.0
"""A TCP proxy in user space, where the kernel cannot do it or nobody is root: late, in drips, cut, half open."""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import suppress
from typing import Any


class TcpProxy:
    """Forwards address:port of its own to a server. What it does may be changed at any time; it holds for the
    connections that are there."""

    def __init__(self, server: tuple[str, int], seed: int) -> None:
        self.delay_s = (0.0, 0.0)  # of each chunk, each way, between these; the order is kept
        self.drip = 0  # so many bytes at a time, a millisecond apart; 0 is all at once
        self.swallows = False  # connections stay open and are accepted, but nothing goes through any more
        self.connections = 0
        self._server = server
        self._random = random.Random(seed)
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)
        self._thread.start()
        self._listener = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = int(self._listener.sockets[0].getsockname()[1])

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            to_reader, to_writer = await asyncio.open_connection(*self._server)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, to_writer}
        pumps = (self._pump(reader, to_writer), self._pump(to_reader, writer))
        ways = [asyncio.ensure_future(pump) for pump in pumps]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for stream in (writer, to_writer):
                self._writers.discard(stream)
                stream.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self.delay_s[1]:
                    await asyncio.sleep(self._random.uniform(*self.delay_s))
                if self.swallows:
                    continue
                for at in range(0, len(data), self.drip or len(data)):
                    writer.write(data[at : at + (self.drip or len(data))])
                    await writer.drain()
                    if self.drip:
                        await asyncio.sleep(0.001)

    def cut(self) -> None:
        """Every connection is reset."""

        def abort() -> None:
            for writer in list(self._writers):
                writer.transport.abort()

        self._loop.call_soon_threadsafe(abort)

    async def _end(self) -> None:
        self._listener.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
