"""The agents service's register: which model version is deployed behind which endpoint, and its Review App."""
