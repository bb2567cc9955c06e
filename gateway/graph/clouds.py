"""The addresses of Entra and Graph in each national cloud (docs/graph.md §7). Tokens of one cloud are not valid in another."""

from typing import NamedTuple

from gateway.config import Tenant


class Cloud(NamedTuple):
    """The roots of Entra and Graph: scheme and host, no slash at the end."""

    authority: str
    graph: str

    @property
    def scope(self) -> str:
        """The scope that asks for all application permissions the app was granted."""
        return f"{self.graph}/.default"


CLOUDS = {
    "global": Cloud("https://login.microsoftonline.com", "https://graph.microsoft.com"),
    "usgov": Cloud("https://login.microsoftonline.us", "https://graph.microsoft.us"),
    "dod": Cloud("https://login.microsoftonline.us", "https://dod-graph.microsoft.us"),
    "china": Cloud("https://login.chinacloudapi.cn", "https://microsoftgraph.chinacloudapi.cn"),
}


def cloud_of(tenant: Tenant) -> Cloud:
    """The tenant's cloud: by name, or as the configuration spells it out."""
    return CLOUDS[tenant.cloud] if tenant.cloud else Cloud(str(tenant.authority), str(tenant.graph))
