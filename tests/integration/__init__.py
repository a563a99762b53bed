"""Real nodes against real brokers, through a proxy that injects one fault at a time."""
