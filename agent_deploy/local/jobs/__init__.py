"""Jobs with permissions and schedules, which run pipeline and SQL tasks: /api/2.0, 2.1 and 2.2/jobs."""
