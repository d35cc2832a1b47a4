# SPDX-License-Identifier: MPL-2.0
"""The way to a Redis: it can be slow, swallow everything, be cut, and lead to another one from some moment on."""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import suppress


class Way:
    """A relay on a port of its own. What is set here holds from the next chunk, or the next connection, on."""

    def __init__(self, target: int, seed: int) -> None:
        self.target = target
        self.delay_s = (0.0, 0.0)
        """Of each chunk towards Redis."""
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="way", daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self._loop.call_soon_threadsafe(self._open.set)
        self.port = int(self._server.sockets[0].getsockname()[1])
        self.url = f"redis://127.0.0.1:{self.port}"

    def swallow(self) -> None:
        """Connections stay, and nothing comes through in either direction."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def let_through(self) -> None:
        self._loop.call_soon_threadsafe(self._open.set)

    def cut(self) -> None:
        """Every connection is reset."""

        def abort() -> None:
            for writer in list(self._writers):
                writer.transport.abort()

        self._loop.call_soon_threadsafe(abort)

    def lead_to(self, target: int) -> None:
        """What is connected is cut, and connects to the other one."""
        self.target = target
        self.cut()

    def stop(self) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, to_writer}
        there = asyncio.ensure_future(self._pump(reader, to_writer, delayed=True))
        back = asyncio.ensure_future(self._pump(to_reader, writer, delayed=False))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (there, back):
                task.cancel()
            for end in (writer, to_writer):
                self._writers.discard(end)
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delayed: bool) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if delayed and self.delay_s[1]:
                    await asyncio.sleep(self._random.uniform(*self.delay_s))
                await self._open.wait()
                writer.write(data)
                await writer.drain()

    async def _end(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
