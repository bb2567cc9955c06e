"""Behaviour that no source confirms, or on which sources differ. Each has a switch; the default is the worst case for clients.

Further such switches: Graph.empty_pages and Graph.expand_pages (OData allows both; no report says that Intune does them),
Model.refused_types and Model.refused_properties (Graph no longer knows a name), and the `documented` routes as a whole.
"""

from dataclasses import dataclass
from typing import Literal

Twice = Literal["refuse", "ignore"]
SentBack = Literal["refuse", "adopt"]


@dataclass
class Unconfirmed:
    """row_reads: GET of one assignment has a route; no report says whether it works.

    duplicates: a second row for a target in a set is refused (Microsoft365DSC#3058), or ignored (Intune-Toolkit#57).
    policy_set_rows: a row of a policy set that is sent back makes the call fail, or becomes direct (both Microsoft365DSC#3058).
    filter_rules: a filter ID and type that do not fit, and a filter on an exclusion, are refused; there is no report of this.
    made_up: one initial row has properties that no metadata declares (`note`, `weights`), as a future Graph might have.
    """

    row_reads: bool = False
    duplicates: Twice = "refuse"
    policy_set_rows: SentBack = "refuse"
    filter_rules: bool = True
    made_up: bool = True
