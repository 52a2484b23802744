"""Unity Catalog's model registry, as MLflow's client with the registry URI databricks-uc uses it."""
