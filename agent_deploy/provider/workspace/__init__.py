"""What several subjects ask a workspace: the connection, answers remembered, who may do what, tables, files."""
