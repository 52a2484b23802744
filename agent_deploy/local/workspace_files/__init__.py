"""The workspace's tree of directories, notebooks and files: /api/2.0/workspace."""
