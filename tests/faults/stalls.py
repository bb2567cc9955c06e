"""A gateway with an event loop and a thread of its own, and a watchdog that tells for how long anything held that loop."""

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
    """longest: seconds of the thread's CPU time between two beats. Who else is on the machine does not count, nor what other
    threads do: the emulator and the callers. collecting: seconds of collections of garbage; they do not count either, since
    the garbage is the emulator's and the callers', and the heap is the tests'."""

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
    """See rig.gateway. The watch begins when the gateway is ready."""
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
