"""Genie: spaces as objects with permissions; questions are answered by the space's own example queries."""
