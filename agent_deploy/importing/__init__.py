"""Endpoints that others have made, taken over: the program's entry, the import file, what differs."""
