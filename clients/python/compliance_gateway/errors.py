"""The error of a call that the gateway did not carry out."""

import contextlib
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

DETAILS = "grpc-status-details-bin"


class GatewayError(grpc.RpcError):
    """A failed call: code(), details() and trailing_metadata() of grpc's error, and the details that the gateway sent.

    reason: the stable cause, such as ALREADY_ASSIGNED; empty if the gateway did not answer. retry_after: seconds until a retry
    makes sense; None if it never does. reserved: whether Graph's quota is reserved for a retry with the same request ID, until
    a second after retry_after. request_id: of the write; repeat the request with it to retry, or to find out whether the write
    was carried out. graph_request_id: Graph's ID, if Graph answered. fields: the request's fields that break a rule.
    """

    def __init__(self, error: Any, request_id: str = "") -> None:
        self._error = error
        self.request_id = request_id
        self.reason = self.graph_request_id = ""
        self.reserved = False
        self.retry_after: float | None = None
        self.fields: tuple[str, ...] = ()
        found = dict(error.trailing_metadata() or ()).get(DETAILS)
        with contextlib.suppress(DecodeError):  # a proxy may have answered instead of the gateway
            for packed in status_pb2.Status.FromString(found).details if found else ():
                self._read(packed)
        super().__init__(f"{self.code().name}: {self.reason}: {self.details()}")

    def _read(self, packed: Any) -> None:
        info, retry, bad = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo(), error_details_pb2.BadRequest()
        if packed.Unpack(info):
            self.reason, self.graph_request_id = info.reason, info.metadata.get("graph_request_id", "")
            self.reserved = info.metadata.get("reserved") == "true"
        elif packed.Unpack(retry):
            self.retry_after = retry.retry_delay.ToTimedelta().total_seconds()
        elif packed.Unpack(bad):
            self.fields = tuple(violation.field for violation in bad.field_violations)

    def code(self) -> grpc.StatusCode:
        return self._error.code()  # type: ignore[no-any-return]

    def details(self) -> str:
        return self._error.details() or ""

    def trailing_metadata(self) -> Any:
        return self._error.trailing_metadata()


@dataclass(frozen=True)
class NotSent:
    """Stands in for grpc's error in a GatewayError whose call was not sent."""

    status: grpc.StatusCode
    why: str

    def code(self) -> grpc.StatusCode:
        return self.status

    def details(self) -> str:
        return self.why

    def trailing_metadata(self) -> tuple[()]:
        return ()
