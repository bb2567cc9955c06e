"""A gateway with an event loop and a thread of its own, and a watchdog that measures the longest block of that loop."""

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import grpc
from rig import Rig, gateway

from gateway.cli.loop import new_event_loop
from gateway.emulator import Emulator

BEAT_S = 0.001


@dataclass
class Watchdog:
    """longest: the most CPU seconds of the thread between two beats. Other processes and other threads (the emulator and the
    callers) do not count. collecting: CPU seconds of garbage collections, which do not count either, because most garbage is
    the tests'."""

    longest: float = 0.0
    collecting: float = 0.0

    async def watch(self) -> None:
        gc.callbacks.append(self._collected)
        self._thread, self._began = threading.get_ident(), 0.0
        try:
            while True:
                began = time.thread_time() - self.collecting
                await asyncio.sleep(BEAT_S)
                self.longest = max(self.longest, time.thread_time() - self.collecting - began)
        finally:
            gc.callbacks.remove(self._collected)

    def _collected(self, phase: str, _: object) -> None:
        if threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._began = time.thread_time()
        else:
            self.collecting += time.thread_time() - self._began


@asynccontextmanager
async def watched(emulator: Emulator, **sections: dict) -> AsyncIterator[tuple[Rig, Watchdog]]:
    """As rig.gateway. The watchdog starts when the gateway is ready."""
    here, dog = asyncio.get_running_loop(), Watchdog()
    started: asyncio.Future[tuple[Rig, asyncio.AbstractEventLoop, asyncio.Event]] = here.create_future()

    async def serve() -> None:
        over = asyncio.Event()
        async with gateway(emulator, **sections) as rig:
            watching = asyncio.create_task(dog.watch())
            here.call_soon_threadsafe(started.set_result, (rig, asyncio.get_running_loop(), over))
            await over.wait()
            watching.cancel()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(serve())
        except BaseException as exc:
            if not started.done():
                here.call_soon_threadsafe(started.set_exception, exc)
            raise

    thread = threading.Thread(target=run, name="gateway")
    thread.start()
    try:
        rig, loop, over = await started
        async with grpc.aio.insecure_channel(rig.address) as channel:
            yield replace(rig, channel=channel), dog
        loop.call_soon_threadsafe(over.set)
    finally:
        await asyncio.to_thread(thread.join)
