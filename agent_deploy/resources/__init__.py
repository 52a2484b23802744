"""Thin CustomResources: our own types, and the vendor's that we use."""
