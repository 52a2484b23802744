"""Cluster policies, by which a workspace says what compute may be made."""
