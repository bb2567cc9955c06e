"""Proto messages <-> Graph's JSON objects. Pure, and compiled once at start from descriptors and the options of odata.proto.

Promises: written JSON has `@odata.type` first and with its `#`; read JSON may omit the `#` and spell type names in any case; a
target of a type that the protos do not know is kept in both directions. json_format is not used: it costs ten times as much.
This room does not judge whether input makes sense; the rules in the protos do.
"""

from gateway.odata.codec import Codec, codec
from gateway.odata.fields import ODataError
from gateway.odata.text import JsonError, canonical, dumps, loads, loads_strictly

__all__ = ["Codec", "JsonError", "ODataError", "canonical", "codec", "dumps", "loads", "loads_strictly"]
