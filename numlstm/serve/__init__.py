"""The server: an HTTP API, the batches that its texts are written in, training jobs, and a web page for all of it.

server_settings.py  what the server may do, and how much of everything
app.py              all of it as one ASGI application
http/               around the routes: keys, origins, limits, headers; errors; server-sent events; OpenAPI
api/                the routes, a module a family, and the schemas of their JSON
engine/             one thread that writes all texts, batched together as they come
jobs/               training jobs: their list, the queue, and the process that each runs in
stores/             the models and texts that there are, by name
page/               the web page
metrics.py          counts for Prometheus
"""
