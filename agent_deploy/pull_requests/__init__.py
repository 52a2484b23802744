"""The report on a pull request (GitHub) or merge request (GitLab): one comment, which is kept up to date."""
