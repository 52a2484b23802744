"""Vector search: endpoints, and indexes as objects of Unity Catalog; full text and exact similarity."""
