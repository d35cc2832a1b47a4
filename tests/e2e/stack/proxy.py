# SPDX-License-Identifier: MPL-2.0
"""A TCP proxy before a server of the test: what goes towards the server takes its time."""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import suppress


class DelayingProxy:
    """Each chunk towards the server is held for a random time between delay_s[0] and delay_s[1]."""

    def __init__(self, server_port: int, delay_s: tuple[float, float], seed: int) -> None:
        self._server_port = server_port
        self._delay_s = delay_s
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result(10)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        there = asyncio.ensure_future(self._pump(reader, to_writer, self._delay_s))
        back = asyncio.ensure_future(self._pump(to_reader, writer, (0.0, 0.0)))
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        for task in (there, back):
            task.cancel()
        for stream in (writer, to_writer):
            stream.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: tuple[float, float]
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await asyncio.sleep(self._random.uniform(*delay_s))
                writer.write(data)
                await writer.drain()

    async def _end(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
