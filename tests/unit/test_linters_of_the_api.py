"""The API as linters of others see it: Google's api-linter and Stoplight's spectral find nothing beside the exceptions that the
repository lists, and each exception is needed."""

import json
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

PROTOS = Path(__file__).parents[2] / "protos"
API_LINTER = "github.com/googleapis/api-linter/v2/cmd/api-linter"
EXCEPTIONS = "linters/api-linter.yaml"
SPECTRAL = "@stoplight/spectral-cli@6.16.3"


@pytest.fixture(scope="module")
def api_linter(tmp_path_factory: pytest.TempPathFactory) -> str:
    program = str(tmp_path_factory.mktemp("linter") / "api-linter")
    run("go", "build", "-C", "linters", "-o", program, API_LINTER)
    return program


def findings(api_linter: str, *options: str) -> set[str]:
    """The rules of Google's that the protos break."""
    own = [str(path.relative_to(PROTOS)) for path in PROTOS.glob("compliance_gateway/**/*.proto")]
    paths = [option for folder in ("third_party", str(files("grpc_tools") / "_proto")) for option in ("-I", folder)]
    result = run(api_linter, *paths, "--output-format", "json", *options, *own)
    return {problem["rule_id"] for file in json.loads(result.stdout) for problem in file["problems"]}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(command, cwd=PROTOS, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result


@pytest.mark.needs("go", "grpc_tools", "yaml")
def test_google_s_linter_finds_nothing_beside_the_exceptions(api_linter: str):
    import yaml  # noqa: PLC0415 - of the extra `dev`

    assert findings(api_linter, "--config", EXCEPTIONS) == set()
    exceptions = [rule for one in yaml.safe_load((PROTOS / EXCEPTIONS).read_text()) for rule in one["disabled_rules"]]
    assert sorted(exceptions) == sorted(findings(api_linter)), "an exception that is not needed, or twice"


@pytest.mark.needs("npm")
def test_spectral_finds_nothing_in_the_openapi_document():
    document = PROTOS.parent / "gateway/doors/docs/openapi.json"
    run("npx", "--yes", SPECTRAL, "lint", "-r", "linters/spectral.yaml", "--fail-severity=warn", str(document))
