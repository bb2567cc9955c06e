"""Generates everything committed that comes from these protos: `python protos/generate.py [OUTPUT]`.

OUTPUT is the root of the tree that it is written to (default: this repository): the stubs below clients/python and clients/go,
the OpenAPI document in gateway/doors/docs. Needs the `dev` extra (grpcio-tools, mypy-protobuf, buf), and Go for Go's stubs:
without it, these are left out. Clients in TypeScript, Rust and Java make theirs when they are built.
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


def generate_with_buf(output: Path) -> None:
    """Writes what buf.gen.yaml says below `output`."""
    output.mkdir(parents=True, exist_ok=True)
    buf = Path(sys.executable).with_name("buf")
    subprocess.run([buf, "generate", "-o", output], cwd=PROTOS, check=True)  # noqa: S603


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
    if shutil.which("go"):
        generate_with_buf(root / "clients")
    generate_openapi(root / "gateway/doors/docs")
