"""SQL on the local workspace's tables: the Statement Execution API and the engine that runs a statement."""
