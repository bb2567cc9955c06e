"""The contract of credential kinds. Subclass CredentialContract and define `make` and `change`."""

from abc import ABC, abstractmethod
from datetime import datetime

import pytest

from gateway.credentials.credential import Assertion, Credential, CredentialError, Identity, Secret

AUDIENCE, CLIENT_ID = "https://login.example/tenant/oauth2/v2.0/token", "11111111-2222-4333-8444-555555555555"


class CredentialContract(ABC):
    """See Credential. canary: a text in what is presented, which must be in no repr and no error."""

    canary = "canary"

    @abstractmethod
    def make(self) -> Credential:
        """The credential under test, ready for use."""

    @abstractmethod
    def change(self) -> bool:
        """Rotates what it presents. False if the kind has nothing to rotate."""

    @abstractmethod
    def spoil(self) -> bool:
        """Removes what it presents. False if the kind has nothing to remove."""

    def proof_of(self, credential: Credential) -> object:
        """What Entra would be sent."""
        proof = credential.present().material
        if isinstance(proof, Assertion):
            return proof.make(AUDIENCE, CLIENT_ID)
        return proof.value.get_secret_value() if isinstance(proof, Secret) else proof

    def test_it_presents_a_proof(self) -> None:
        presented = self.make().present()
        assert isinstance(presented.material, Secret | Assertion | Identity)
        assert isinstance(presented.stamp, str)
        assert presented.stamp
        assert presented.expires_at is None or (isinstance(presented.expires_at, datetime) and presented.expires_at.tzinfo)
        assert self.proof_of(self.make())

    def test_it_is_the_same_until_it_changes(self) -> None:
        credential = self.make()
        stamp, fingerprint = credential.present().stamp, credential.fingerprint()
        assert (credential.present().stamp, credential.fingerprint()) == (stamp, fingerprint)
        if self.change():
            assert credential.present().stamp != stamp
            assert fingerprint is None or credential.fingerprint() != fingerprint

    def test_it_shows_nothing_secret(self) -> None:
        credential = self.make()
        self.proof_of(credential)
        assert self.canary not in f"{credential!r} {credential} {credential.present()!r} {credential.present().material!r}"

    def test_it_says_why_it_has_nothing(self) -> None:
        credential = self.make()
        credential.present()
        if self.spoil():
            with pytest.raises(CredentialError) as caught:
                self.proof_of(credential)
            assert str(caught.value)
            assert self.canary not in str(caught.value)
