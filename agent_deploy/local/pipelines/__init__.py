"""Declarative pipelines with permissions, which really derive inference tables: /api/2.0/pipelines."""
