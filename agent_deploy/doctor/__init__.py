"""What keeps a first deployment from working, looked at one by one: this machine, the sign-in, the workspace."""
