"""What the verification can find: each rule with an id that stays, as linters have them."""

from __future__ import annotations

from dataclasses import dataclass

from agent_deploy.rules.resource_kinds import Target


@dataclass(frozen=True)
class Rule:
    """``remedy`` is the way out in general; each finding names the object, and the statement that mends it."""

    id: str
    title: str
    remedy: str

    def found(self, text: object, at: Target | None = None, hidden: bool = False) -> Finding:
        """A finding of this rule."""
        return Finding(self, str(text), at, hidden)


@dataclass(frozen=True)
class Finding:
    """``at`` is the object that it is about: what is missing around that answers for it.

    ``hidden``: whoever deploys may not see it, and so it is answered for by what is closed to him, too.
    """

    rule: Rule
    text: str
    at: Target | None = None
    hidden: bool = False

    def __str__(self) -> str:
        return f"{self.text} [{self.rule.id}]"


# What a deployment needs on the objects of a workspace.
MISSING = Rule("AGV001", "an object does not exist", "create it, or correct the name where it is declared")
PRIVILEGE = Rule("AGV002", "a privilege in Unity Catalog is missing", "have its owner run the GRANT")
HIDDEN = Rule("AGV003", "an object is missing or may not be seen", "correct the name, or have its owner give access")
LEVEL = Rule("AGV004", "a permission on a workspace object is missing", "have whoever manages it send the request")
TAKEN = Rule("AGV005", "an endpoint exists that is not yours to change", "choose another name, or get CAN_MANAGE on it")
SCOPE = Rule("AGV006", "a secret scope exists that is not yours", "choose another one, or get MANAGE on it")
RECEIVERS = Rule("AGV007", "readers or run_as lack what you may not give", "have an owner run one of the two GRANTs")
ADMIN = Rule("AGV008", "only workspace admins create service principals", "use an existing one, or ask an admin")
ENTITLEMENT = Rule("AGV009", "an entitlement is missing", "have a workspace admin give it")
UNREADABLE = Rule("AGV010", "what you may do with an object cannot be read", "if `up` is refused, do what is named")
BEYOND = Rule("AGV011", "no API shows whether the agent may", "look there if the agent is refused")
# What a program names.
REFERENCE = Rule("AGV020", "a reference to a secret is malformed", "write {{secrets/scope/key}}")
KEYS = Rule("AGV021", "the keys of a secret scope may not be listed", "have whoever manages it give READ")
NO_SCOPE = Rule("AGV022", "a secret scope does not exist", "create it, or correct the name")
NO_KEY = Rule("AGV023", "a secret does not exist", "put the value, or correct the name")
NO_PRINCIPAL = Rule("AGV024", "a principal does not exist", "create it, or correct the name")
OTHER_PRINCIPAL = Rule("AGV025", "a principal is of another kind", "name it by the argument of its kind")
NO_TABLE = Rule("AGV026", "a table that is read does not exist", "correct the name, or leave it out")
NO_EXPERIMENT = Rule("AGV027", "an experiment is missing or deleted", "create or restore it, or correct the id")
PIPELINE = Rule("AGV028", "the workspace refuses the pipeline", "name a cluster_policy_id, or say derive=False")
RUN_AS = Rule("AGV029", "the pipeline may not run as that principal", "become a user of it, or leave run_as out")
FOLDER = Rule("AGV030", "everybody may write what the pipeline runs", "choose a folder that only its owner writes")
RESOURCE = Rule("AGV031", "a resource is malformed", "correct its kind or name")
PAYLOAD = Rule("AGV032", "inference tables cannot be had from there", "correct endpoint_name or payload_table")
# Model versions and what they declare.
VERSION = Rule("AGV040", "a model version cannot be deployed", "register it, or name one that is READY")
MLMODEL = Rule("AGV041", "what a version needs cannot be told", "log the model again, or say resources in the program")
KIND = Rule("AGV042", "a version declares an unknown kind of resource", "use a newer agent_deploy")
PASSTHROUGH = Rule("AGV043", "automatic passthrough does not cover a resource", "choose auth = SERVICE_PRINCIPAL")
DUPLICATE = Rule("AGV044", "a version is named twice", "take one of them out")
LOST = Rule("AGV045", "a kept version would lose a secret", "leave the secret there until the version has left")
FEEDBACK = Rule("AGV046", "the feedback model cannot be served", "rename it, or say feedback_model=False")
OAUTH_SECRETS = Rule("AGV047", "a service principal has no room for a secret", "delete one of its OAuth secrets")
# The workspace itself.
UNANSWERED = Rule("AGV060", "the workspace does not answer", "see the message: address, credentials, or try again")

RULES = tuple(each for each in list(vars().values()) if isinstance(each, Rule))
