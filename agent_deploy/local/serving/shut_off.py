"""The first program in the process of one served entity: it shuts the process off, and becomes the one that serves.

It runs with nothing that a model or who deploys it can write: no folder of theirs is searched for modules, no variable
of theirs is set. Those say what Python and the system's loader run before any line of ours; so they come when the
process is shut off already, with the program that is named on the command line. They arrive over standard input.
"""

from __future__ import annotations

import os
import socket
import sys

from agent_deploy.local.core import privacy
from agent_deploy.local.serving import isolation, wire


def main() -> None:
    """Does not return."""
    privacy.close_to_others()
    control = socket.socket(fileno=os.dup(0))
    order = wire.receive(control)
    if order is None:
        os._exit(0)
    try:
        isolation.apply(order[0]["isolation"])
    except OSError as error:
        control.sendall(wire.pack({"failed": f"The process could not be isolated: {error}"}))
        os._exit(1)
    control.close()
    os.execve(sys.argv[1], sys.argv[1:], order[0]["environment"])


if __name__ == "__main__":
    main()
