"""What is read through, and `$metadata`, as OpenAPI has them: paths of the tree that no operation has, with Graph's answers."""

from collections.abc import Iterator

from openapi_answers import IDS, JSON, TEXT
from openapi_schemas import Json

from gateway.doors.rest_metadata import ONLY_BETA, SINGLE, TYPES
from gateway.graph.tree import BUILT_IN, COUNT, ID, KEY, OPTIONS

READS = "reads"
ABOUT = {
    "$select": "Property names, separated by commas.",
    "$filter": "An expression of OData; what Graph makes of it differs by property.",
    "$expand": "Relations that the gateway reads through, separated by commas.",
    "$top": "How many objects a page has, at most.",
    "$skip": "How many objects to leave out.",
    "$count": "Whether to say how many there are.",
    "$orderby": "Property names, separated by commas, each with `asc` or `desc`.",
    "$search": "Words to look for; of groups, with `ConsistencyLevel: eventual`.",
    "$skiptoken": "Where a page begins; from `@odata.nextLink`.",
}
OF_ONE = ("$select", "$expand")
HEADERS = {
    "ConsistencyLevel": "`eventual`, for Graph's advanced queries.",
    "If-None-Match": "Etags of Graph's that the caller has.",
    "Prefer": "`odata.maxpagesize=10`; `wait=10`: seconds until the deadline.",
}
OF_GRAPH: Json = {name: {"description": "Graph's.", **TEXT} for name in ("etag", "last-modified", "preference-applied")}


def parameters() -> Json:
    """The query options and headers, for `components`. What an option may say, Graph judges."""
    options = {name: {"name": name, "in": "query", "description": about, **TEXT} for name, about in ABOUT.items()}
    printable = {"type": "string", "pattern": "^[ -~]*$", "maxLength": 256}
    headers = {
        name: {"name": name, "in": "header", "description": about, "schema": printable} for name, about in HEADERS.items()
    }
    assert options.keys() == {*OPTIONS}
    return {name.removeprefix("$"): one for name, one in (options | headers).items()}


def responses() -> Json:
    """Answers to reads, for `components`. Graph's refusals are passed on, and have codes of Graph's."""
    listed = {"type": "object", "required": ["value"], "properties": {"value": {"type": "array", "items": {"type": "object"}}}}
    error = {
        "type": "object",
        "required": ["code", "message"],
        "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
    }
    schema = {"type": "object", "required": ["error"], "properties": {"error": error}}
    done: Json = {"description": "Graph's answer, with links that lead here.", "headers": {**IDS, **OF_GRAPH}}
    about = "A refusal of the gateway's, with a reason of its table as code, or Graph's own as it is."
    return {
        "read": done,
        "readObject": {**done, "content": {JSON: {"schema": {"type": "object"}}}},
        "readList": {**done, "content": {JSON: {"schema": listed}}},
        "readCount": {**done, "content": {"text/plain": {"schema": {"type": "integer"}}}},
        "readRefused": {"description": about, "headers": {"request-id": TEXT}, "content": {JSON: {"schema": schema}}},
    }


def reads(taken: set[str]) -> Iterator[tuple[str, Json]]:
    """Paths with their items. taken: paths of operations, with `{}` for keys."""
    for name in ("v1.0", "beta"):
        yield f"/{name}/$metadata", _metadata(name)
        for pattern in BUILT_IN:
            path, keys = _keyed(f"/{name}/{pattern}")
            if blank(path) not in taken and (name == "beta" or not set(ONLY_BETA) & {*pattern.split("/")}):
                yield path, _item(name, pattern, keys)


def blank(path: str) -> str:
    """The path without the names of its keys."""
    return "/".join("{}" if segment.startswith("{") else segment for segment in path.split("/"))


def _keyed(path: str) -> tuple[str, list[str]]:
    """With keys named for the type of the object, as operations name theirs."""
    segments, keys = path.split("/"), []
    for at, segment in enumerate(segments):
        if segment == KEY:
            keys.append(f"{TYPES[segments[at - 1]]}Id")
            segments[at] = f"{{{keys[-1]}}}"
    return "/".join(segments), keys


def _item(name: str, pattern: str, keys: list[str]) -> Json:
    last = pattern.rpartition("/")[2]
    is_one = last == KEY or last in SINGLE
    options = OF_ONE if is_one else ("$filter", "$search") if last == COUNT else tuple(ABOUT)
    named = [option.removeprefix("$") for option in options] + [*HEADERS, "x-graph-tenant", "client-request-id"]
    found = "readCount" if last == COUNT else "readObject" if is_one else "readList"
    others: Json = {"304": {"description": "The caller has it already."}}
    others |= {status: _answer("readRefused") for status in ("4XX", "5XX")}
    key = {"type": "string", "pattern": f"^(?:{ID.pattern})$"}
    item: Json = {
        "parameters": [
            *({"name": one, "in": "path", "required": True, "schema": key} for one in keys),
            *({"$ref": f"#/components/parameters/{one}"} for one in named),
        ]
    }
    said, one = {"tags": [READS], "summary": f"Read through: {pattern}"}, f"{name}.{pattern.replace(KEY, 'one')}"
    item["get"] = {**said, "operationId": f"Get.{one}", "responses": {"200": _answer(found), **others}}
    item["head"] = {**said, "operationId": f"Head.{one}", "responses": {"200": _answer("read"), **others}}
    return item


def _answer(name: str) -> Json:
    return {"$ref": f"#/components/responses/{name}"}


def _metadata(name: str) -> Json:
    schema = {"type": "string"}
    read = {
        "operationId": f"GetMetadata.{name}",
        "tags": [name],
        "summary": "What is served, as OData's CSDL",
        "parameters": [{"name": "$format", "in": "query", "schema": {"enum": ["xml", "application/xml"]}}],
        "responses": {
            "200": {"description": "The document.", "headers": IDS, "content": {"application/xml": {"schema": schema}}},
            **{status: {"$ref": f"#/components/responses/{status}"} for status in ("400", "401", "429", "503")},
        },
    }
    return {"get": read}
