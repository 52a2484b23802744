"""Unity Catalog: /api/2.1/unity-catalog; catalogs, schemas and what is in them, privileges enforced on every route."""
