"""Secret values at rest: encrypted with a key that lies beside the state, readable by its owner only."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from cryptography.fernet import Fernet

# Names of a connection's options that are credentials: kept encrypted, shown by no answer and no recording. The code of
# an OAuth sign-in and its verifier are exchanged for tokens.
CREDENTIAL = re.compile(
    r"password|passphrase|secret|token|key|credential|authorization_?code|(pkce|code)_?verifier", re.IGNORECASE
)


class Vault:
    """Encrypts what must be read again, digests what must only be recognised."""

    def __init__(self, key_file: Path) -> None:
        if not key_file.exists():
            descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(Fernet.generate_key())
        self._fernet = Fernet(key_file.read_bytes())

    def encrypt(self, value: str) -> str:
        """A text that only this workspace can read."""
        return self._fernet.encrypt(value.encode()).decode()

    def decrypt(self, value: str) -> str:
        """The text that was encrypted."""
        return self._fernet.decrypt(value.encode()).decode()

    @staticmethod
    def digest(token: str) -> str:
        """By which a token or client secret is recognised; tokens are random, so no salt is needed."""
        return hashlib.sha256(token.encode()).hexdigest()
