"""The contract of authorizers. Subclass AuthorizerContract; define `make`, which permits nothing, and `permit`."""

from abc import ABC, abstractmethod
from dataclasses import replace

from gateway.odata.targets import EVERYONE, UNKNOWN
from gateway.operations import PERMITTED, READ_THROUGH
from gateway.pipeline.authorize import Authorizer
from gateway.pipeline.cedar import Question
from gateway.pipeline.rules import NAMED, READ_NAMES

ASKED = Question("caller", "CreateComplianceAssignment", "tenant", "policy", frozenset({"group"}), frozenset({"id"}))

READ = Question("caller", READ_THROUGH.name, "tenant", "", path="groups/{id}", kind="groups")
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
        for operation in (*PERMITTED, READ_NAMES):
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

    def test_reads_that_are_passed_on_need_a_permit_of_their_own(self) -> None:
        """Whatever the caller may do by itself, it may not read the same by this way, nor the other way round."""
        authorizer = self.make()
        self.permit(READ.caller, "ListComplianceAssignments")
        authorizer.reload()
        listing = replace(ASKED, operation="ListComplianceAssignments")
        assert authorizer.ask(listing).missing == ""
        assert authorizer.ask(READ).missing == READ.operation
        self.permit(READ.caller, READ.operation)
        authorizer.reload()
        assert authorizer.ask(READ).missing == ""
        assert authorizer.ask(READ).because
        assert authorizer.where(READ.caller, READ.operation, TENANTS)
        assert authorizer.ask(replace(READ, path="deviceManagement/assignmentFilters", kind="assignmentFilters")).missing == ""
        assert authorizer.ask(replace(READ, caller="another")).missing == READ.operation
        assert authorizer.ask(listing).missing == listing.operation

    def test_names_need_a_permit_of_their_own(self) -> None:
        """Of policies, groups and filters; who may read by whatever way may not know what they are called."""
        authorizer = self.make()
        asked = [Question("caller", READ_NAMES, "tenant", "policy", frozenset({kind})) for kind in NAMED]
        for operation in ("ListComplianceAssignments", READ.operation):
            self.permit(READ.caller, operation)
            authorizer.reload()
            assert {authorizer.ask(question).missing for question in asked} == {READ_NAMES}
        self.permit(READ.caller, READ_NAMES)
        authorizer.reload()
        assert {authorizer.ask(question).missing for question in asked} == {""}
        assert authorizer.ask(replace(asked[0], caller="another")).missing == READ_NAMES
        assert authorizer.ask(READ).missing == READ.operation
