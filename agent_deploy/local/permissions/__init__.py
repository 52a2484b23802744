"""Access control lists of workspace objects: /api/2.0/permissions."""
