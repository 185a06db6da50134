"""A certificate authority of the tests' own, and contexts that verify what it has signed."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

import trustme


class Certificates:
    """One certificate for both sides' addresses. The paths are those of PEM files."""

    def __init__(self, folder: Path, *names: str) -> None:
        """`names` are addresses and host names that it is good for."""
        self.authority = folder / "authority.pem"
        self.certificate = folder / "certificate.pem"
        self.key = folder / "key.pem"
        self._authority = trustme.CA()
        self._issued = self._authority.issue_cert(*names)
        self._authority.cert_pem.write_to_path(self.authority)
        for part in self._issued.cert_chain_pems:
            part.write_to_path(self.certificate, append=True)
        self._issued.private_key_pem.write_to_path(self.key)

    def for_server(self, *alpn: str) -> ssl.SSLContext:
        """TLS 1.3 with the certificate; `alpn` are protocols, the best one first."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._issued.configure_cert(context)
        return _of_today(context, alpn)

    def for_client(self, *alpn: str) -> ssl.SSLContext:
        """TLS 1.3 that takes certificates of the authority only, for the name connected to."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._authority.configure_trust(context)
        return _of_today(context, alpn)


def _of_today(context: ssl.SSLContext, alpn: Sequence[str]) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if alpn:
        context.set_alpn_protocols(alpn)
    return context
