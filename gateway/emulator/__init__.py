"""An emulator of Entra, Graph and Intune for tests and demos: in memory, and stricter than the real services.

It is an independent witness: it imports nothing else from `gateway`, and follows docs/graph.md (called "facts" here). Start
reading at `server`. `entra` issues tokens, `graph` answers requests from the state in `intune`, `control` lets tests interfere,
and `unconfirmed` lists behaviour that no source confirms."""

from gateway.emulator.server import Emulator

__all__ = ["Emulator"]
