"""The agents service's register and the Review App."""
