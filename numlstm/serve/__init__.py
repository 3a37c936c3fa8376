"""The server: an HTTP API, the batches that its texts are written in, training jobs, and a web page for all of it.

    settings        what the server may do, and how much of everything
    refusals        answers that say no: status, message, and what to do
    names           which names models, texts and jobs may have: none that leads out of the folder
    shelf           the models in the folder and those that ship, by name
    engine          one thread that writes all texts, batched together as they come (and `loaded`: what is in memory;
                    `streams`: texts as their clients get them)
    completions     OpenAI's API (`shapes`: what it says and hears); `earlier` that of the text server of old;
                    `writing`: the texts that one request waits for; `models_api` the models'
    jobs            training jobs, and what may be asked of them (`job`: one of them; `train_options`; `corpora`: texts;
                    `jobs_api`, `job_shapes`, `corpora_api`: over HTTP)
    running         runs them one after the other, each as a `process` under a `lock`; `following` tells what happens,
                    from the `tail` of its log
    connections     hung up when nobody asks anything
    guards          keys, origins, limits and headers, before a request gets anywhere
    answers         how the server says no over HTTP, and `sse` how it tells of what happens
    metrics         counts for Prometheus
    app             all of it as one ASGI application; `description` what OpenAPI tells of it; `page_files` the page's
    page/           the web page, as it is sent

Needs the extra `serve`. Knows nothing about the command line, which hands it the options of `train`.
"""
