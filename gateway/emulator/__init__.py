"""A look-alike of Entra, Graph and Intune for tests and demos: volatile, strict, and nastier than the real ones.

An independent witness: it imports nothing else of `gateway`, and follows docs/graph.md (named "facts" here). Start
with `server`; `entra` gives tokens, `graph` answers requests out of `intune`, `control` is the tests' way in, `unconfirmed`
lists what no witness confirms.
"""

from gateway.emulator.server import Emulator

__all__ = ["Emulator"]
