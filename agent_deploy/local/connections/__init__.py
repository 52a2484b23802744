"""What is sent through a connection of Unity Catalog: refused to whoever may not use it, and not sent for others."""
