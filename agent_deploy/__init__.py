"""AI agents on Databricks, declared in Pulumi."""
