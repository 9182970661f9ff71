"""What the benchmark of serving is made of: models, servers, a client, and what each of them costs."""
