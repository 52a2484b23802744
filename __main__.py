"""The plugin as Pulumi starts it out of this folder, see PulumiPlugin.yaml; installed, it is a command of its own."""

from agent_deploy.provider import main

if __name__ == "__main__":
    main()
