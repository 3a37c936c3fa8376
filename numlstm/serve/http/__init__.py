"""HTTP: middleware, error responses, server-sent events, and the OpenAPI description."""
