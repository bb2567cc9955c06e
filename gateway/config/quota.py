"""How callers share each tenant's quota."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from gateway.config.base import Section


class CallerWeight(Section):
    """A caller's share. `onboarding = 4` is short for `onboarding = { weight = 4 }`."""

    weight: float = Field(default=1, gt=0, le=1000)
    """Turns that the caller gets for each turn of a caller that is not listed, while both wait."""
    priority: bool = False
    """Whether the caller may use the reserve, beside its share."""


def _a_weight(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"weight": value} if is_number else value


def _caller(name: str, info: ValidationInfo) -> str:
    """Callers are validated before; where they are wrong themselves, nothing is known of names."""
    callers = (info.context or {}).get("callers")
    if callers is not None and not callers.may_be(name):
        raise ValueError("cannot be a caller's name: no section of [callers] gives such names")
    return name


class Quota(Section):
    """How callers share each tenant's quota: see docs/how-to/share-the-quota.md. A turn is the permission to send one
    request."""

    weights: dict[Annotated[str, AfterValidator(_caller)], Annotated[CallerWeight, BeforeValidator(_a_weight)]] = Field(
        default_factory=dict, json_schema_extra={"read_anew": True}
    )
    """Weights by the caller's authenticated name (`name`, `ISSUER:subject`, `mtls:…`). A caller that is not listed has the
    weight 1."""
    reserve: float = Field(default=0.1, ge=0, le=0.5, json_schema_extra={"read_anew": True})
    """The part of all writes and requests that is reserved for callers with `priority = true`, beside their shares. Others may
    use it while those callers do not."""
    most_waiting: int = Field(default=500, ge=1, le=100_000, json_schema_extra={"read_anew": True})
    """Turns that one caller may wait for, in each tenant; further calls are refused at once. Edits that share a write wait for
    one turn."""
