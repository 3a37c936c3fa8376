"""HTTP: what is let in, how errors are answered, server-sent events, the OpenAPI description."""
