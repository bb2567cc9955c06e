"""Proto messages <-> Graph's JSON objects. Pure, and compiled once at start from descriptors and the options of odata.proto.

Promises: what goes out has its `@odata.type` first and with its `#`; what comes in may leave the `#` out and spell type
names in any case; a target of a type that the protos do not know survives both ways. Uses no json_format: it costs ten
times as much. Whether input makes sense is judged by the rules in the protos, not here.
"""

from gateway.odata.codec import Codec, codec
from gateway.odata.fields import ODataError
from gateway.odata.text import JsonError, canonical, dumps, loads, loads_strictly

__all__ = ["Codec", "JsonError", "ODataError", "canonical", "codec", "dumps", "loads", "loads_strictly"]
