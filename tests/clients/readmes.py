"""The snippets of a client's README as one program, which a consumer of the package compiles: what stands there is complete,
but for the ids of one's own."""

import re
from pathlib import Path

GO = """package main

import (
	"context"
	"errors"
	"fmt"
)

{imports}
func Readme(ctx context.Context, pem []byte, policy, group, filter, ours string) error {{
{code}
	return err
}}
"""
JAVA = """{imports}
class Readme {{
  static void run(String policy, String groupId, String filter) throws Exception {{
{code}
  }}

  static void more(Gateway gateway, String policy, String ours) {{
{more}
  }}
}}
"""
RUST = """{imports}
type Done = Result<(), Box<dyn std::error::Error>>;

async fn readme(pem: Vec<u8>, policy: String, filter: &str, group_id: &str, ours: &str) -> Done {{
{code}
    Ok(())
}}

fn main() {{
    drop(readme(vec![], String::new(), "", "", ""));
}}
"""
TYPESCRIPT = """{imports}
declare const policy: string, groupId: string, filterId: string, ours: string;
{code}
"""
# Where the consumer has the program. Python's consumer runs the snippets itself.
PROGRAMS = {
    "go": ("readme.go", GO),
    "java": ("src/main/java/Readme.java", JAVA),
    "rust": ("src/bin/readme.rs", RUST),
    "typescript": ("readme.ts", TYPESCRIPT),
}


def write_program(language: str, readme: Path, consumer: Path) -> None:
    """As a file of `consumer`."""
    if language not in PROGRAMS:
        return
    name, template = PROGRAMS[language]
    imports, first, *others = re.findall(r"^```(?:go|java|rust|ts)\n(.*?)^```", readme.read_text(), re.DOTALL | re.MULTILINE)
    path, more = consumer / name, "".join(others)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(template.format(imports=imports, code=first if language == "java" else first + more, more=more))
