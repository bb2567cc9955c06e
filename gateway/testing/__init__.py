"""Contract tests for plug-ins: subclass the one for your kind and implement how your plug-in is constructed; pytest does the
rest.

Needs pytest and pytest-asyncio (mode auto).
"""
