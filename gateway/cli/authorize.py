"""`authorize`: may this caller do that, and which policy says so?"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.loop import load_or_exit, refuse
from gateway.config import ConfigError
from gateway.graph.tree import KEY, ReadPath, Tree, served
from gateway.ids import canonical_guid
from gateway.odata.targets import KINDS, target_of_text
from gateway.operations import PERMITTED, READ_THROUGH
from gateway.pipeline.authorize import SEES_ALL, TARGET, Authorizer, bare, with_targets
from gateway.pipeline.cedar import Decision, Question
from gateway.pipeline.rules import NAMED, READ_NAMES
from gateway.pipeline.validate import VALIDATOR, violation_of
from gateway.plugins import authorizer_of

FILTERS = ("include", "exclude")
TARGET_HELP = f"A target that is added: KIND or KIND:ID, such as group:ID; may be repeated. Kinds: {', '.join(KINDS)}."


def authorize(
    config: Annotated[Path, typer.Option(help="The gateway's TOML file.")],
    caller: Annotated[str, typer.Option(help="The caller's name, as in the ledger.")],
    operation: Annotated[str, typer.Option(help="The operation, such as CreateComplianceAssignment.")],
    policy: Annotated[str, typer.Option(help="The policy's ID.")] = "any",
    tenant: Annotated[str, typer.Option(help="The tenant's name; optional if there is only one tenant.")] = "",
    target: Annotated[list[str] | None, typer.Option(help=TARGET_HELP)] = None,
    remove: Annotated[
        list[str] | None, typer.Option(help="A target that is removed, in the same form; may be repeated.")
    ] = None,
    filter_: Annotated[str, typer.Option("--filter", help="The target's filter: include:ID or exclude:ID.")] = "",
    names: Annotated[
        str, typer.Option(help=f"The kind of object whose name is read; only for ReadNames: {', '.join(NAMED)}.")
    ] = "",
    path: Annotated[
        str, typer.Option(help=f"The path that is read; only for {READ_THROUGH.name}: for example groups/{KEY}.")
    ] = "",
) -> None:
    """Explain an authorisation: allowed or not, and the rules that decided. Exit 1 if not allowed."""
    loaded = load_or_exit(config)
    if operation not in (*PERMITTED, READ_NAMES):
        raise typer.BadParameter(f"has to be one of {', '.join((*PERMITTED, READ_NAMES))}", param_hint="--operation")
    if names not in (NAMED if operation == READ_NAMES else ("",)):
        raise typer.BadParameter(
            f"is only for {READ_NAMES}, which needs it, and has to be one of {', '.join(NAMED)}", param_hint="--names"
        )
    place = _place(path, Tree(loaded.rest.read_through)) if path else None
    if (place is not None) != (operation == READ_THROUGH.name):
        raise typer.BadParameter(f"is only for {READ_THROUGH.name}, which needs it", param_hint="--path")
    if (not tenant and len(loaded.tenants) > 1) or (tenant and tenant not in loaded.tenants):
        raise typer.BadParameter(f"has to be one of {', '.join(loaded.tenants)}", param_hint="--tenant")
    filter_type, _, filter_id = filter_.partition(":")
    if filter_ and filter_type not in FILTERS:
        raise typer.BadParameter("has to be include:ID or exclude:ID", param_hint="--filter")
    added, removed = _targets(target, "--target"), _targets(remove, "--remove")
    question = replace(
        with_targets(Question(caller, operation, tenant or next(iter(loaded.tenants)), canonical_guid(policy)), added, removed),
        filter_ids=frozenset({canonical_guid(filter_id)} if filter_ else ()),
        filter_types=frozenset({filter_type} if filter_ else ()),
    )
    if names:
        question = replace(question, kinds=frozenset({names}))
    if place:
        question = replace(question, path=place.pattern, kind=place.kind)
    try:
        answer = _answer(authorizer_of(loaded.authorization), question, shows=place is not None and place.shows)
    except ConfigError as exc:
        raise refuse(exc.mistakes) from None
    because = f" because of {', '.join(sorted(set(answer.because)))}" if answer.because else ""
    if answer.missing:
        typer.echo(f"refused: {answer.missing} is {'forbidden' if because else 'permitted by no rule'}{because}")
        raise typer.Exit(1)
    typer.echo(f"allowed{because}")


def _answer(authorizer: Authorizer, question: Question, *, shows: bool) -> Decision:
    """As `serve` has it. shows: whether assignments are read through, which needs the right to list them as well."""
    answer = authorizer.ask(question)
    return authorizer.ask(bare(question, *SEES_ALL)) if shows and not answer.missing else answer


def _place(path: str, tree: Tree) -> ReadPath:
    place = tree.find("/" + path.strip("/").replace(KEY, "0"), "")
    if place is None:
        raise typer.BadParameter(
            f"is not a path that is read through; these are: {served(tree.patterns.values())}", param_hint="--path"
        )
    return place


def _targets(texts: list[str] | None, option: str) -> list[dict[str, Any]]:
    try:
        return [_as_served(target_of_text(text)) for text in texts or ()]
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint=option) from None


def _as_served(target: dict[str, str]) -> dict[str, Any]:
    """The target as `serve` would read and send it. Raises ValueError where it would refuse it."""
    message = TARGET.from_json(target, strict=True)
    if broken := VALIDATOR.collect_violations(message):
        raise ValueError("; ".join(f"{v.field}: {v.rule}" for v in (violation_of(one, message) for one in broken)))
    return TARGET.to_json(message)
