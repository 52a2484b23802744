"""A stand-in for the vendor's databricks plugin, for where that cannot be had: the few types that we use, sent alike.

Never on a user's PATH, where it would shadow the vendor's: see ``launcher`` for how the engine gets it.
"""
