"""The house itself: who imports whom, generated code is fresh, files stay small."""

import filecmp
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Files over 300 lines, each with its reason.
LONG: dict[str, str] = {}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_rooms_import_only_what_they_may():
    result = run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
    assert result.returncode == 0, result.stdout


def test_what_is_committed_is_what_the_protos_generate(tmp_path: Path):
    result = run(sys.executable, "protos/generate.py", str(tmp_path))
    assert result.returncode == 0, result.stderr
    generated = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.py*")}
    generated |= {path.relative_to(tmp_path) for end in ("json", "go") for path in tmp_path.rglob(f"*.{end}")}
    stubs = (p for p in (ROOT / "clients/python").rglob("*_pb2*.py*") if "__pycache__" not in p.parts)
    committed = {p.relative_to(ROOT) for p in (*stubs, ROOT / "gateway/doors/docs/openapi.json")}
    if shutil.which("go"):
        committed |= {p.relative_to(ROOT) for p in (ROOT / "clients/go/v1").glob("*.go")}
    assert generated == committed
    different = [str(p) for p in generated if not filecmp.cmp(tmp_path / p, ROOT / p, shallow=False)]
    assert different == []


def test_no_file_is_long_without_a_reason():
    sources = [p for top in ("gateway", "tests", "protos", "clients") for p in (ROOT / top).rglob("*.py")]
    long = {
        str(path.relative_to(ROOT)) for path in sources if "_pb2" not in path.name and len(path.read_text().splitlines()) > 300
    }
    assert long == set(LONG)


def test_the_top_level_is_what_was_agreed():
    listed = run("git", "ls-files").stdout.split("\n")
    tops = {name.split("/")[0] for name in listed if name and not name.startswith(".")}
    texts = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE"}
    assert tops <= {"pyproject.toml", "protos", "gateway", "clients", "tests", "docs", "deploy"} | texts


def test_the_client_needs_neither_msal_nor_the_gateway():
    code = "import sys, compliance_gateway; print([m for m in ('msal', 'gateway', 'requests', 'aiohttp') if m in sys.modules])"
    assert run(sys.executable, "-c", code).stdout.strip() == "[]"
