"""Ephemeral stacks: an agent of its own for each pull request, gone when nobody needs it any more."""
