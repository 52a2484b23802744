"""What every plugin of the engine is made of: Pulumi's wire and the interface of a resource; nothing of Databricks."""
