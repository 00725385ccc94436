"""One package a kind or concern: read the Store, call domain and resources, apply, summarise."""
