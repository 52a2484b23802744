"""Who may do what: principals, their secrets, scopes, grants and permissions."""
