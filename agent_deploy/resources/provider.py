"""The provider for a stack whose workspace is set as `databricks:*`, so that one setting serves the vendor's and ours.

The engine gives a plugin the configuration of its own namespace only; `databricks:*` is the vendor's.
"""

from collections.abc import Mapping, Sequence

import pulumi

PACKAGE = "agent-deploy"
_SETTINGS = ("host", "clientId", "profile", "accountId", "authType")
_SECRETS = ("token", "clientSecret")
# Where the program's one provider is kept: on the stack's own resource, so that each program has its own.
_ATTRIBUTE = "_agent_deploy_provider"


def in_workspace(name: str, opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions | None:
    """The options of one of our resources or components with that provider.

    As they are when the user chose a provider, or no workspace is configured: the plugin then looks further by itself.
    """
    if _is_child(opts) or _has_provider(opts) or (provider := _provider(name)) is None:
        return opts
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(providers={PACKAGE: provider}))


def provider_of(component: pulumi.Resource | None) -> pulumi.ProviderResource | None:
    """What was chosen for a component's children of our package; None: the default provider, or no component."""
    return component.get_provider(f"{PACKAGE}:index:Any") if component is not None else None


def _provider(name: str) -> pulumi.ProviderResource | None:
    config = pulumi.Config("databricks")
    values: dict[str, pulumi.Input[str]] = {key: value for key in _SETTINGS if (value := config.get(key))}
    values |= {key: secret for key in _SECRETS if (secret := config.get_secret(key)) is not None}
    if not values or pulumi.Config(PACKAGE).get("host"):
        return None
    root = pulumi.runtime.get_root_resource()
    if root is None:
        # Inside the plugin, for a program in another language: a provider for each component.
        return pulumi.ProviderResource(PACKAGE, f"{name}-databricks", values)
    if getattr(root, _ATTRIBUTE, None) is None:
        setattr(root, _ATTRIBUTE, pulumi.ProviderResource(PACKAGE, "databricks-configuration", values))
    provider: pulumi.ProviderResource = getattr(root, _ATTRIBUTE)
    return provider


def _is_child(opts: pulumi.ResourceOptions | None) -> bool:
    """Whether it belongs to a component of ours, which has been through this: what that was given, it inherits."""
    parent = opts.parent if opts else None
    return isinstance(parent, pulumi.ComponentResource) and parent.pulumi_resource_type.startswith(f"{PACKAGE}:")


def _has_provider(opts: pulumi.ResourceOptions | None) -> bool:
    if opts is None:
        return False
    given: list[pulumi.ProviderResource] = [opts.provider] if opts.provider else []
    if isinstance(opts.providers, Mapping):
        given += opts.providers.values()
    elif isinstance(opts.providers, Sequence):
        given += opts.providers
    if any(provider.package == PACKAGE for provider in given):
        return True
    return provider_of(opts.parent) is not None
