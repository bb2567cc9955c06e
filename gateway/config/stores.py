"""The ledger: what outlives a call, and all that replicas share."""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from gateway.config.base import ExistingFile, Section
from gateway.config.kinds import a_kind


class LedgerConfig(Section):
    """The record of every write, and all that replicas share."""

    kind: Annotated[str, a_kind("ledgers")] = "sql"
    """`sql`, or a kind that is registered in the entry-point group `compliance_gateway.ledgers`."""
    url: str = Field(default="sqlite:///ledger.db", validate_default=True)
    """`sqlite:///file` for one gateway, `postgresql://user@host/database` for several. A relative file is relative to the
    configuration's folder."""
    password_file: ExistingFile | None = None
    """A file with the password of the PostgreSQL user."""
    answers_kept_days: float = Field(default=7, gt=0, le=36_500)
    """How long the answers of writes are kept, with their request IDs."""
    entries_kept_days: float | None = Field(default=None, gt=0, le=36_500)
    """How long entries are kept, not less than `answers_kept_days`; by default for ever."""
    revisions_kept_days: float = Field(default=400, ge=1, le=36_500)
    """How long the history of policies is kept: what each write, repair and change by others did, and the set before it. The
    newest settled revision of each policy is always kept, since it defines the policy's expected set."""
    lease_s: float = Field(default=15, ge=1, le=300)
    """How long a gateway that no longer responds keeps others from writing its policies."""

    @field_validator("url")
    @classmethod
    def known_database(cls, url: str, info: ValidationInfo) -> str:
        """A relative path of a file counts from the folder of the configuration file."""
        if re.fullmatch(r"sqlite:///[^?]+", url):
            path = Path((info.context or {}).get("folder", ".")) / url.removeprefix("sqlite:///")
            return f"sqlite:///{path.absolute()}"
        if not re.fullmatch(r"postgresql://([^:@/\s]+@)?[^@\s]+", url):
            raise ValueError("has to be sqlite:///file or postgresql://user@host/database, with the password in password_file")
        return url

    @model_validator(mode="after")
    def entries_outlive_answers(self) -> Self:
        if self.entries_kept_days is not None and self.entries_kept_days < self.answers_kept_days:
            raise ValueError("entries_kept_days: may not be less than answers_kept_days")
        return self

    def password(self) -> str | None:
        """The password as it is now."""
        return self.password_file.read_text().strip() if self.password_file else None
