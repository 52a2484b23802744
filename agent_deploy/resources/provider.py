"""Which provider of our package serves a resource: the one workspace that the user named, in whichever way.

The engine gives a plugin the configuration of its own namespace only, and a resource a provider of its own package
only; `databricks:*` and databricks providers are the vendor's. What they say counts for ours as well.
"""

from collections.abc import Mapping
from typing import Any

import pulumi

from agent_deploy.resources.provider_inputs import ProviderInputs
from agent_deploy.resources.same_workspace import DefaultProvider, checked, compare_defaults

PACKAGE = "agent-deploy"
VENDOR = "databricks"
_SETTINGS = ("host", "clientId", "profile", "accountId", "authType")
_SECRETS = ("token", "clientSecret")
# Ways to sign in that the vendor's provider takes as inputs, and ours does not.
_SIGNS_OTHERWISE = (
    "azureClientSecret",
    "azureUseMsi",
    "azureWorkspaceResourceId",
    "googleCredentials",
    "googleServiceAccount",
    "metadataServiceUrl",
    "oidcTokenEnv",
    "databricksIdTokenFilepath",
    "actionsIdTokenRequestUrl",
    "password",
    "configFile",
)
# Where the program's one provider is kept: on the stack's own resource, so that each program has its own; or on the
# databricks provider that it was derived from.
_ATTRIBUTE = "_agent_deploy_provider"


def in_workspace(name: str, opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions | None:
    """The options of one of our components, whose children of both packages are then in the workspace that was named.

    As they are when no workspace is named, or only to the plugins: they then look further by themselves. Where the two
    packages end up at different workspaces, the component is refused before anything of it is declared.
    """
    own, vendor = _given(opts)
    if _is_settled(opts):
        return opts
    if own is None and vendor is None:
        return _by_configuration(name, opts)
    if own is None:
        return for_resource(name, opts)
    return _with(opts, checked(own, vendor or _default(VENDOR)))


def for_resource(name: str, opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions | None:
    """The options of one of our resources that stands alone: a databricks provider decides for it, too."""
    own, vendor = _given(opts)
    if _is_settled(opts) or own is not None:
        return opts
    provider = _configured(name) if vendor is None else _derived(name, vendor)
    return opts if provider is None else _with(opts, provider)


def provider_of(component: pulumi.Resource | None) -> pulumi.ProviderResource | None:
    """What was chosen for a component's children of our package; None: the default provider, or no component."""
    return component.get_provider(f"{PACKAGE}:index:Any") if component is not None else None


def _by_configuration(name: str, opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions | None:
    if (provider := _configured(name)) is not None:
        return _with(opts, provider)
    if pulumi.Config(PACKAGE).get("host"):
        compare_defaults(_default(PACKAGE), _default(VENDOR))
    return opts


def _with(opts: pulumi.ResourceOptions | None, provider: pulumi.ProviderResource) -> pulumi.ResourceOptions:
    chosen = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(providers={PACKAGE: provider}))
    if chosen.provider is not None and chosen.provider.package == PACKAGE:
        chosen.provider = None  # or the SDK takes it, and warns that two are given
    return chosen


def _configured(name: str) -> pulumi.ProviderResource | None:
    """The provider for a stack whose workspace is set as `databricks:*`."""
    config = pulumi.Config(VENDOR)
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


def _derived(name: str, vendor: pulumi.ProviderResource) -> pulumi.ProviderResource:
    """Ours for a databricks provider; one for all that it was given to, named as it is."""
    if pulumi.runtime.get_root_resource() is None:
        return pulumi.ProviderResource(PACKAGE, f"{name}-databricks", _inputs(vendor))
    if getattr(vendor, _ATTRIBUTE, None) is None:
        opts = pulumi.ResourceOptions(parent=vendor)
        setattr(
            vendor, _ATTRIBUTE, pulumi.ProviderResource(PACKAGE, vendor.pulumi_resource_name, _inputs(vendor), opts)
        )
    provider: pulumi.ProviderResource = getattr(vendor, _ATTRIBUTE)
    return provider


def _inputs(vendor: pulumi.ProviderResource) -> dict[str, pulumi.Output[str | None]]:
    given = ProviderInputs(vendor)

    async def understood() -> None:
        values = await given.values()
        # A switch that is off is the text "false".
        otherwise = [name for name in _SIGNS_OTHERWISE if values.get(name) not in (None, "", False, "false")]
        if otherwise and not (values.get("token") or values.get("clientSecret")):
            name = await given.name()
            raise pulumi.RunError(
                f"The databricks provider '{name}' is made with {', '.join(otherwise)}, which agent-deploy's own "
                f"plugin does not take. Give a provider of {PACKAGE} beside it, at the same host: providers=["
                f"{name}, agent_deploy.Provider(…, host=…)]; what that leaves out it finds in the environment."
            )

    async def after(value: pulumi.Output[str | None]) -> Any:
        await understood()
        return value

    outputs = given.outputs((*_SETTINGS, *_SECRETS), secret=_SECRETS)
    return {name: pulumi.Output.from_input(after(value)) for name, value in outputs.items()}


def _default(package: str) -> DefaultProvider:
    config = pulumi.Config(package)
    return DefaultProvider(package, {key: value for key in _SETTINGS if (value := config.get(key))})


def _is_settled(opts: pulumi.ResourceOptions | None) -> bool:
    """Whether it belongs to a component of ours, which has been through this, and is given nothing of its own."""
    parent = opts.parent if opts else None
    ours = isinstance(parent, pulumi.ComponentResource) and parent.pulumi_resource_type.startswith(f"{PACKAGE}:")
    return ours and not _named(opts)


def _given(
    opts: pulumi.ResourceOptions | None,
) -> tuple[pulumi.ProviderResource | None, pulumi.ProviderResource | None]:
    """Ours and the vendor's, as the program gives them; what is given nearest decides, and then for both."""
    named = _named(opts)
    parent = opts.parent if opts else None
    if VENDOR in named and PACKAGE not in named:
        return None, named[VENDOR]
    vendor = parent.get_provider(f"{VENDOR}:index:Any") if parent is not None else None
    return named.get(PACKAGE) or provider_of(parent), named.get(VENDOR) or vendor


def _named(opts: pulumi.ResourceOptions | None) -> dict[str, pulumi.ProviderResource]:
    """The providers of the options themselves, by package."""
    if opts is None:
        return {}
    providers = opts.providers or ()
    each = list(providers.values()) if isinstance(providers, Mapping) else list(providers)
    given = [*each, *([opts.provider] if opts.provider is not None else [])]
    return {provider.package: provider for provider in given if provider.package in (PACKAGE, VENDOR)}
