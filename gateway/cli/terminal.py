"""Where tables are shown. Apart from the rest: `serve` shows none, and rich takes 7 MB."""

from rich.console import Console

WIDTH = 220


def console() -> Console:
    """For tables: as wide as the terminal, and wide enough where there is none."""
    found = Console(highlight=False)
    if not found.is_terminal:
        found.width = WIDTH
    return found
