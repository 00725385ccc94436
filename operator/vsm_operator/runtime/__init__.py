"""controller-runtime in miniature: store, queue, workers, leadership. Knows keys, nothing about MCP servers."""
