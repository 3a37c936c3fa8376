"""The routes of the HTTP API, one module per resource, and the schemas of their JSON."""
