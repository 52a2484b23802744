"""The local workspace's own switches: health, faults, recording, transitions; not part of Databricks' API."""
