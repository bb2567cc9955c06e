"""How callers share each tenant's quota."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from gateway.config.base import Section


class CallerWeight(Section):
    """A caller's part. `onboarding = 4` is short for `onboarding = { weight = 4 }`."""

    weight: float = Field(default=1, gt=0, le=1000)
    """Turns that it has for each turn of a caller that is not listed, where both wait."""
    priority: bool = False
    """The reserve is there for it, beside its part."""


def _a_weight(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"weight": value} if is_number else value


def _caller(name: str, info: ValidationInfo) -> str:
    """Callers are validated before; where they are wrong themselves, nothing is known of names."""
    callers = (info.context or {}).get("callers")
    if callers is not None and not callers.may_be(name):
        raise ValueError("is no caller that an authenticator of [callers] can name")
    return name


class Quota(Section):
    """How callers share each tenant's quota: see docs/how-to/share-the-quota.md."""

    weights: dict[Annotated[str, AfterValidator(_caller)], Annotated[CallerWeight, BeforeValidator(_a_weight)]] = Field(
        default_factory=dict, json_schema_extra={"read_anew": True}
    )
    """By caller, as it is authenticated (`name`, `ISSUER:subject`, `mtls:…`). A caller that is not listed has the weight 1."""
    reserve: float = Field(default=0.1, ge=0, le=0.5, json_schema_extra={"read_anew": True})
    """The part of all writes and requests that callers with `priority = true` have beside their own. While they are away it is
    lent out."""
    most_waiting: int = Field(default=500, ge=1, le=100_000, json_schema_extra={"read_anew": True})
    """Turns that one caller may wait for, in each tenant; what is more is refused at once. Edits that share a write wait for
    one."""
