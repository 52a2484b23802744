"""SQL warehouses: objects with states and permissions; what they run comes with the SQL engine."""
