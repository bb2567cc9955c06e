"""An emulator of Entra, Graph and Intune for tests and demos: in memory, and stricter than the real services.

It imports nothing else from `gateway`, so that it checks the gateway independently. It follows docs/graph.md (called "facts"
here). Start reading at `server`. `entra` issues tokens, `graph` answers requests from the state in `intune`, `control` is the
tests' HTTP interface, and `unconfirmed` lists behaviour that no source confirms."""

from gateway.emulator.server import Emulator

__all__ = ["Emulator"]
