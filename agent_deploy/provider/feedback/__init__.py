"""The feedback model of a schema."""
