"""Tests of the local workspace, by unmodified clients."""
