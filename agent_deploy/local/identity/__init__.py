"""Who is who: SCIM users, groups and service principals, their tokens and OAuth secrets."""
