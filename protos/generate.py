"""Generates everything committed that comes from these protos: `python protos/generate.py [OUTPUT]`.

OUTPUT is the folder of the Python stubs (default: clients/python). Needs the `test` extra (grpcio-tools, mypy-protobuf).
"""

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).parent
OWN = sorted(PROTOS.glob("compliance_gateway/**/*.proto"))
# google/api comes compiled with googleapis-common-protos; buf/validate has no distribution of its own.
VENDORED = [PROTOS / "third_party/buf/validate/validate.proto"]


def generate(output: Path) -> None:
    """Writes the Python modules and their type stubs below `output`."""
    beside = Path(sys.executable).parent
    plugins = [f"--plugin={name}={beside / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    include = [f"-I{path}" for path in (PROTOS / "third_party", PROTOS, files("grpc_tools") / "_proto")]
    runs = [
        ([f"--python_out={output}", f"--mypy_out=quiet:{output}"], [*OWN, *VENDORED]),
        ([f"--grpc_python_out={output}", f"--mypy_grpc_out=quiet:{output}"], [p for p in OWN if p.stem.endswith("_service")]),
    ]
    for flags, sources in runs:
        if protoc.main(["protoc", *plugins, *include, *flags, *map(str, sources)]) != 0:
            sys.exit(1)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PROTOS.parent / "clients/python"
    target.mkdir(parents=True, exist_ok=True)
    generate(target)
