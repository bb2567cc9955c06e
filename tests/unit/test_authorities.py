"""Whose certificates are trusted, looked up once for all who trust the same."""

from pathlib import Path

import trustme

from gateway.authorities import context_for


def test_who_trusts_the_same_shares_what_was_read(tmp_path: Path):
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    assert context_for(None) is context_for(None)
    assert (before := context_for(file)) is context_for(file) is not context_for(None)
    trustme.CA().cert_pem.write_to_path(tmp_path / "new.pem")
    (tmp_path / "new.pem").replace(file)
    assert context_for(file).get_ca_certs() != before.get_ca_certs()
