"""Packages of npm as a folder's package-lock.json has them, and what other programs print."""

import asyncio
import fcntl
import subprocess
from pathlib import Path


def installed(folder: Path) -> bool:
    """Once, whoever asks first."""
    with (folder / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "node_modules").is_dir():
            subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return True


async def output(folder: Path, environment: dict[str, str], *command: str, given: bytes = b"", seconds: float = 240) -> str:
    """Of a command that goes well, in this folder."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(given), seconds)
    assert process.returncode == 0, out.decode()
    return out.decode()
