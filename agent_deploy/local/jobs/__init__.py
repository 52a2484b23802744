"""Jobs as objects with permissions: /api/2.0, 2.1 and 2.2/jobs; they are kept, not run."""
