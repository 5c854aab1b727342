"""How `ocs` is reached: over HTTP, and as processes that serve, sweep and stop when told to."""
