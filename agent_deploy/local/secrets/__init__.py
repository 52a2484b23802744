"""Secret scopes, secrets and their ACLs; values are encrypted at rest."""
