"""The contract of authorizers. Subclass AuthorizerContract; define `make`, which permits nothing, and `permit`."""

from abc import ABC, abstractmethod
from dataclasses import replace

from gateway.odata.targets import EVERYONE, UNKNOWN
from gateway.operations import OPERATIONS
from gateway.pipeline.authorize import Authorizer
from gateway.pipeline.cedar import Question

ASKED = Question("caller", "CreateComplianceAssignment", "tenant", "policy", frozenset({"group"}), frozenset({"id"}))

TENANTS = tuple(f"tenant-{number}" for number in range(9))


class AuthorizerContract(ABC):
    """The contract; see Authorizer."""

    @abstractmethod
    def make(self) -> Authorizer:
        """An authorizer that permits nothing yet."""

    @abstractmethod
    def permit(self, caller: str, operation: str) -> None:
        """Permits this operation, and no other, to this caller, from the next `reload` on."""

    def test_what_is_not_permitted_is_refused_by_name(self) -> None:
        authorizer = self.make()
        assert set(authorizer.health().values()) <= {""}
        for operation in OPERATIONS:
            assert authorizer.ask(replace(ASKED, operation=operation)).missing == operation
            assert not authorizer.where(ASKED.caller, operation, TENANTS)

    def test_what_is_permitted_is_and_nothing_else(self) -> None:
        authorizer = self.make()
        authorizer.ask(ASKED)
        self.permit(ASKED.caller, ASKED.operation)
        authorizer.reload()
        assert authorizer.ask(ASKED).missing == ""
        assert authorizer.ask(ASKED).because
        assert authorizer.ask(replace(ASKED, caller="another")).missing == ASKED.operation
        assert authorizer.ask(replace(ASKED, caller=f'{ASKED.caller}" || true || "')).missing == ASKED.operation
        assert authorizer.where(ASKED.caller, ASKED.operation, TENANTS)
        assert not authorizer.where("another", ASKED.operation, TENANTS)
        assert not authorizer.where(ASKED.caller, "DeleteComplianceAssignment", TENANTS)
        assert authorizer.ask(replace(ASKED, operation="DeleteComplianceAssignment")).missing == "DeleteComplianceAssignment"

    def test_where_a_caller_may_says_whether_that_is_in_one_tenant(self) -> None:
        authorizer = self.make()
        self.permit(ASKED.caller, ASKED.operation)
        authorizer.reload()
        may = [tenant for tenant in TENANTS if not authorizer.ask(replace(ASKED, tenant=tenant)).missing]
        told = {*may} & {*authorizer.where(ASKED.caller, ASKED.operation, TENANTS)}
        assert len(told) == len(may) or len(told) >= 2

    def test_everyone_needs_a_permit_of_its_own(self) -> None:
        authorizer = self.make()
        self.permit(ASKED.caller, ASKED.operation)
        authorizer.reload()
        for kind in EVERYONE:
            assert authorizer.ask(replace(ASKED, kinds=frozenset({"group", kind}))).missing == "TouchEveryone"

    def test_what_the_gateway_does_not_know_needs_a_permit_of_its_own(self) -> None:
        authorizer = self.make()
        self.permit(ASKED.caller, ASKED.operation)
        authorizer.reload()
        assert authorizer.ask(replace(ASKED, kinds=frozenset({"group", UNKNOWN}))).missing == "TouchUnknown"
