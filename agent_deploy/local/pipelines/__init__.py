"""Declarative pipelines as objects with permissions: /api/2.0/pipelines."""
