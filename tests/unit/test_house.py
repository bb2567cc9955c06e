"""The house itself: who imports whom, generated code is fresh, files stay small."""

import filecmp
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Files over 300 lines, each with its reason.
LONG: dict[str, str] = {}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.needs("importlinter")
def test_rooms_import_only_what_they_may():
    result = run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
    assert result.returncode == 0, result.stdout


@pytest.mark.needs("grpc_tools")
def test_what_is_committed_is_what_the_protos_generate(tmp_path: Path):
    result = run(sys.executable, "protos/generate.py", str(tmp_path))
    assert result.returncode == 0, result.stderr
    generated = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    written = ("*_pb2*.py*", "*/LICENSE", "*.proto", *(["*.pb.go"] if shutil.which("go") else []))
    found = [p for pattern in written for p in (ROOT / "clients").rglob(pattern)]
    outside = {"__pycache__", "node_modules", "target"}
    committed = {p.relative_to(ROOT) for p in (*found, ROOT / "gateway/doors/docs/openapi.json") if not outside & {*p.parts}}
    assert generated == committed
    different = [str(p) for p in generated if not filecmp.cmp(tmp_path / p, ROOT / p, shallow=False)]
    assert different == []


def test_the_reference_is_what_the_program_says(tmp_path: Path):
    result = run(sys.executable, "docs/generate.py", str(tmp_path))
    assert result.returncode == 0, result.stderr
    for name in ("configuration.md", "metrics.md"):
        assert (ROOT / "docs" / name).read_text() == (tmp_path / name).read_text(), "run docs/generate.py"


def test_no_file_is_long_without_a_reason():
    sources = [p for top in ("gateway", "tests", "protos", "clients", "docs") for p in (ROOT / top).rglob("*.py")]
    long = {
        str(path.relative_to(ROOT)) for path in sources if "_pb2" not in path.name and len(path.read_text().splitlines()) > 300
    }
    assert long == set(LONG)


def test_the_top_level_is_what_was_agreed():
    listed = run("git", "ls-files").stdout.split("\n")
    tops = {name.split("/")[0] for name in listed if name and not name.startswith(".")}
    texts = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "Makefile", "requirements-ci.txt"}
    assert tops <= {"pyproject.toml", "protos", "gateway", "clients", "tests", "docs", "deploy"} | texts


def test_comments_cite_sections_that_are_there():
    texts = [
        ROOT / name for name in run("git", "ls-files").stdout.split("\n") if name.endswith((".py", ".toml", ".json", ".proto"))
    ]
    cited, missing = set(), []
    for path in texts:
        text = path.read_text().replace("\\u00a7", "§")
        cited |= set(re.findall(r"(docs/\w+\.md) §(\d+)", text))
        missing += [f"{path}: {name}" for name in re.findall(r"\bshared/\w+|\bgraph[-]facts", text)]
    assert missing == []
    assert len(cited) > 5
    headings = {name: (ROOT / name).read_text() for name, _ in cited}
    assert [(name, number) for name, number in cited if f"\n## {number}. " not in headings[name]] == []


def test_the_client_needs_neither_msal_nor_the_gateway():
    code = "import sys, compliance_gateway; print([m for m in ('msal', 'gateway', 'requests', 'aiohttp') if m in sys.modules])"
    assert run(sys.executable, "-c", code).stdout.strip() == "[]"


def test_who_starts_workers_loads_nothing_of_what_they_do():
    there = "[m for m in ('grpc', 'msal', 'cedarpy', 'sqlalchemy', 'protovalidate') if m in sys.modules]"
    code = f"import sys, gateway.cli.serve, gateway.cli.workers; print({there})"
    assert run(sys.executable, "-c", code).stdout.strip() == "[]"
