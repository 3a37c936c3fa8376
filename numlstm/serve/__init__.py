"""The server: an HTTP API, continuous batching of texts, training jobs, and a web page.

server_settings.py  the settings: folder, limits, key
app.py              the ASGI application
http/               middleware (keys, origins, limits, headers), errors, server-sent events, OpenAPI
api/                the routes, one module per resource, and their JSON schemas
engine/             the thread that writes all texts in batches
jobs/               training jobs: their list, the queue, and the worker process
stores/             the models and corpora on the server, by name
page/               the web page
metrics.py          Prometheus metrics
"""
