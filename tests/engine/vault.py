"""Stands in for a Vault server's transit engine, which holds the key of a stack's secrets for the real Pulumi engine.

A stack with a passphrase derives its key anew in every command: that took a tenth of what the engine tests take. The
demo, the bench and one test of this tier have a passphrase. It keeps what it has been given for as long as this process
lives.
"""

from __future__ import annotations

import json
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

PROVIDER = "hashivault://engine-tests"


@cache
def variables() -> dict[str, str]:
    """Where the engine finds it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Transit)
    threading.Thread(target=server.serve_forever, name="vault", daemon=True).start()
    return {"VAULT_ADDR": f"http://127.0.0.1:{server.server_port}", "VAULT_TOKEN": "engine-tests"}


_kept: dict[str, str] = {}


class _Transit(BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        given: dict[str, str] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        data = self._encrypted(given) if self.path.split("/")[3] == "encrypt" else self._decrypted(given)
        body = json.dumps({"data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _encrypted(self, given: dict[str, str]) -> dict[str, str]:
        name = f"vault:v1:{uuid4().hex}"
        _kept[name] = given["plaintext"]
        return {"ciphertext": name}

    def _decrypted(self, given: dict[str, str]) -> dict[str, str]:
        return {"plaintext": _kept[given["ciphertext"]]}

    def log_message(self, format: str, *args: Any) -> None:
        """The tests' output is theirs."""
