"""The part of the schema that is about who an agent is: service principals, their OAuth secrets, and secret scopes."""

from __future__ import annotations

from typing import Any

_NAME = {"type": "string", "description": "Name of the service principal."}
_REPLACES = {"type": "string", "willReplaceOnChanges": True}
_SECRET_INPUTS = {
    "servicePrincipalId": {**_REPLACES, "description": "Id of the service principal, a number."},
    "lifetime": {**_REPLACES, "description": "Seconds until it expires: 86400s; of whole hours, up to one less."},
    "timeRotating": {**_REPLACES, "description": "Any text: another one is another secret."},
}
_SECRET_OUTPUTS = {
    "secret": {"type": "string", "description": "The secret.", "secret": True},
    "createTime": {"type": "string", "description": "When it was made."},
    "expireTime": {"type": "string", "description": "When it expires."},
}

_SCOPE = {"name": {**_REPLACES, "description": "Name of the scope."}}

RESOURCES: dict[str, Any] = {
    "SecretScope": {
        "description": "A secret scope; one that an interrupted run made is gone on with.",
        "inputProperties": _SCOPE,
        "requiredInputs": ["name"],
        "properties": _SCOPE,
        "required": ["name"],
    },
    "ServicePrincipal": {
        "description": "A service principal; one that an interrupted run made is found again, not made twice.",
        "inputProperties": {"displayName": _NAME},
        "requiredInputs": ["displayName"],
        "properties": {
            "displayName": _NAME,
            "applicationId": {"type": "string", "description": "By which grants and access lists know it."},
        },
        "required": ["displayName", "applicationId"],
    },
    "ServicePrincipalSecret": {
        "description": "An OAuth secret of a service principal: a rotated one exists before the old one goes.",
        "inputProperties": _SECRET_INPUTS,
        "requiredInputs": ["servicePrincipalId"],
        "properties": {**_SECRET_INPUTS, **_SECRET_OUTPUTS},
        "required": ["servicePrincipalId", "secret"],
    },
}
