"""The routes of the HTTP API, one module a family, and the schemas of their JSON."""
