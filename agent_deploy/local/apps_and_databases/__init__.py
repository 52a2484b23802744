"""Apps and database instances as objects with permissions: made, seen, shared and deleted; they run nothing here."""
