"""Connections to receivers: whom they trust, and why they fail, in sentences that name only hosts."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from syncer.endpoint.connection_errors import connect_error_reason, tls_problem
from syncer.errors import NoticeError

if TYPE_CHECKING:
    from pathlib import Path


class NoAnswerError(NoticeError):
    """A receiver gave no answer.

    Attributes:
        is_uncertain: Whether it may have received what was sent.
    """

    def __init__(self, message: str, *, is_uncertain: bool = False) -> None:
        super().__init__(message)
        self.is_uncertain = is_uncertain


def create_tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Returns a context that trusts the system's certificate authorities and those of a file.

    Raises:
        NoticeError: The file cannot be used.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # SSLError, a subclass, if there is no certificate in it
            problem = "contains no PEM certificate" if isinstance(error, ssl.SSLError) else "cannot be read"
            raise NoticeError(
                f"ca_file is '{ca_file}', which {problem}: it must be a PEM file of certificate authorities"
            ) from None
    return context


def connection_failure(error: BaseException | None, peer: str) -> str:
    """Returns the sentence for an exception that prevented a connection.

    Args:
        error: The exception of the socket or of TLS.
        peer: Who was to be connected to.
    """
    if isinstance(error, TimeoutError):
        return f"connecting to {peer} timed out: check the network and the firewall"
    if (problem := tls_problem(error)) is not None:
        return (
            f"the TLS handshake with {peer} failed ({problem.rstrip('.')}): check the address, and that this machine, "
            "or ca_file where a channel has one, trusts the authority of its certificate"
        )
    if isinstance(error, socket.gaierror | UnicodeError):
        reason = error.strerror if isinstance(error, socket.gaierror) else "not a valid name"
        return f"the name of {peer} cannot be resolved ({reason}): check the address and this machine's DNS"
    if isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        return f"{peer} closed the connection during the TLS handshake: check the address and the port"
    reason = connect_error_reason(error) if isinstance(error, OSError) else "no reason given"
    return f"cannot connect to {peer} ({reason}): check the address, the network and the firewall"
