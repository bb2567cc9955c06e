"""Contract tests for plug-ins: subclass the one for your kind, say how yours is made, and pytest runs the rest.

Needs pytest and pytest-asyncio (mode auto).
"""
