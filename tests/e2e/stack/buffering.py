# SPDX-License-Identifier: MPL-2.0
"""A proxy that holds back what is short, as some do: it passes the answer on in pieces of a fixed size."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress


class BufferingProxy:
    """What comes from the server waits until there are size bytes of it."""

    def __init__(self, server_port: int, size: int) -> None:
        self._server_port = server_port
        self._size = size
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="buffering", daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result(10)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        there = asyncio.ensure_future(self._pass_on(reader, to_writer))
        back = asyncio.ensure_future(self._hold_back(to_reader, writer))
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        for task in (there, back):
            task.cancel()
        for stream in (writer, to_writer):
            stream.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()

    async def _hold_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held = b""
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                held += data
                while len(held) >= self._size:
                    writer.write(held[: self._size])
                    held = held[self._size :]
                    await writer.drain()
            writer.write(held)
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
