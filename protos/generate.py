"""Generates everything committed that comes from these protos: `python protos/generate.py [OUTPUT]`.

OUTPUT is the root of the tree that it is written to (default: this repository): the stubs below clients/python and clients/go,
the OpenAPI document in gateway/doors/docs, and what a client's folder needs to be complete in itself: the protos, for those in
TypeScript, Rust and Java, which make their stubs when they are built, and the licence. Needs the `dev` extra (grpcio-tools,
mypy-protobuf, buf), and Go for Go's stubs: without it, these are left out.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

PROTOS = Path(__file__).parent
OWN = sorted(PROTOS.glob("compliance_gateway/**/*.proto"))
# google/api comes compiled with googleapis-common-protos; buf/validate has no distribution of its own.
INCLUDE = [f"-I{path}" for path in (PROTOS / "third_party", PROTOS, files("grpc_tools") / "_proto")]
VENDORED = [PROTOS / "third_party/buf/validate/validate.proto"]
# Where the Python package has it: a package `buf` of its own would be in the way of others'.
BUF, OWN_BUF = "from buf.validate", "from compliance_gateway.vendored.buf.validate"
GO = "github.com/compliance-gateway/compliance-gateway/clients/go"
# Rules, HTTP bindings and OData's spelling are the gateway's: clients do without them, and without what describes them.
INPUT = {
    "directory": ".",
    "paths": ["compliance_gateway"],
    "exclude_paths": ["compliance_gateway/v1/odata.proto"],
    "exclude_types": ["buf.validate", "google.api", "compliance_gateway.v1.ODataTargetKind"]
    + [f"compliance_gateway.v1.odata_{name}" for name in
       ("type", "name", "beta", "header", "annotation", "other_properties", "target", "target_id", "zero_guid_is_empty")],
}  # fmt: skip
MANAGED = {"enabled": True, "override": [{"file_option": "go_package", "value": f"{GO}/v1;v1"}]}
BARE = {"rust": "rust/protos", "typescript": "typescript/protos", "java": "java/src/main/proto"}
GO_PLUGINS = ("google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12", "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2")
STUBS = [{"local": ["go", "run", plugin], "out": "go", "opt": f"module={GO}"} for plugin in GO_PLUGINS]


def generate_stubs(output: Path) -> None:
    """Writes the Python modules and their type stubs below `output`."""
    output.mkdir(parents=True, exist_ok=True)
    beside = Path(sys.executable).parent
    plugins = [f"--plugin={name}={beside / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    runs = [
        ([f"--python_out={output}", f"--mypy_out=quiet:{output}"], [*OWN, *VENDORED]),
        ([f"--grpc_python_out={output}", f"--mypy_grpc_out=quiet:{output}"], [p for p in OWN if p.stem.endswith("_service")]),
    ]
    for flags, sources in runs:
        run_protoc(*plugins, *flags, *map(str, sources))
    vendored = output / "compliance_gateway/vendored/buf"
    shutil.rmtree(vendored, ignore_errors=True)
    shutil.move(output / "buf", vendored)
    for path in output.rglob("*_pb2.py*"):
        path.write_text(path.read_text().replace(BUF, OWN_BUF))


def generate_with_buf(clients: Path) -> None:
    """Writes the protos that clients have, and with Go its stubs, below `clients`."""
    clients.mkdir(parents=True, exist_ok=True)
    buf = Path(sys.executable).with_name("buf")
    bare = [{"local": [sys.executable, "bare.py"], "out": folder} for folder in BARE.values()]
    stubs = STUBS if shutil.which("go") else []
    template = {"version": "v2", "inputs": [INPUT], "managed": MANAGED, "plugins": [*bare, *stubs]}
    subprocess.run([buf, "generate", "--template", json.dumps(template), "-o", clients], cwd=PROTOS, check=True)  # noqa: S603


def complete(clients: Path) -> None:
    """Copies into each client what it would else look for in the repository."""
    for language in ("go", "java", "python", "rust", "typescript"):
        (clients / language).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROTOS.parent / "LICENSE", clients / language / "LICENSE")
    # No package of npm's brings google.rpc for protobuf-es.
    shutil.copytree(PROTOS / "third_party/google/rpc", clients / "typescript/protos/google/rpc", dirs_exist_ok=True)


def generate_openapi(output: Path) -> None:
    """Writes openapi.json into `output`."""
    from openapi import document  # noqa: PLC0415 - it reads the stubs, which have to be there
    from openapi_schemas import comments_of  # noqa: PLC0415

    output.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile() as described:
        run_protoc("--include_source_info", f"--descriptor_set_out={described.name}", *map(str, OWN))
        comments = comments_of(FileDescriptorSet.FromString(Path(described.name).read_bytes()))
    (output / "openapi.json").write_text(json.dumps(document(comments), indent=1, ensure_ascii=False) + "\n")


def run_protoc(*arguments: str) -> None:
    """Exits with 1 where it fails."""
    if protoc.main(["protoc", *INCLUDE, *arguments]) != 0:
        sys.exit(1)


if __name__ == "__main__":
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else PROTOS.parent
    generate_stubs(root / "clients/python")
    generate_with_buf(root / "clients")
    complete(root / "clients")
    generate_openapi(root / "gateway/doors/docs")
