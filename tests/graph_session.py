"""Graph without the gateway: what a script with the app's secret would use."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from gateway.emulator import Emulator


@asynccontextmanager
async def graph_session(emulator: Emulator) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with an app token in its headers."""
    app = emulator.world.entra.app
    form = {
        "grant_type": "client_credentials",
        "client_id": app.client_id,
        "client_secret": app.secret,
        "scope": f"{emulator.root}/.default",
    }
    tls = ssl.create_default_context(cafile=emulator.folder / "ca.pem")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session:
        async with session.post(f"{emulator.root}/{emulator.world.entra.tenant_id}/oauth2/v2.0/token", data=form) as response:
            session.headers["Authorization"] = f"Bearer {(await response.json())['access_token']}"
        yield session
