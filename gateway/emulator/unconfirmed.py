"""What no witness confirms, or what witnesses tell in two ways: each behind a switch of its own, set to what hurts most.

Further such switches: Graph.empty_pages and Graph.expand_pages (OData allows both; nobody has reported them of Intune),
Model.refused_types and Model.refused_properties (a Graph that forgets), and the routes `documented` as a whole.
"""

from dataclasses import dataclass
from typing import Literal

Twice = Literal["refuse", "ignore"]
SentBack = Literal["refuse", "adopt"]


@dataclass
class Unconfirmed:
    """row_reads: GET of one assignment has a route; no report of one that works or fails.

    duplicates: a target twice in one set is refused (Microsoft365DSC#3058), or the later one ignored (Intune-Toolkit#57).
    policy_set_rows: a row of a policy set that is sent back makes the call fail, or becomes direct (both Microsoft365DSC#3058).
    filter_rules: a filter id and type that do not fit, and a filter on an exclusion, are refused; nobody has reported it.
    made_up: one seeded row carries properties that no metadata declares (`note`, `weights`), as a Graph to come might.
    """

    row_reads: bool = False
    duplicates: Twice = "refuse"
    policy_set_rows: SentBack = "refuse"
    filter_rules: bool = True
    made_up: bool = True
