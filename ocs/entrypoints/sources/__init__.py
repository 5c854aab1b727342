"""Event sources: what an operator says of a client in `config/sources/*.toml`."""
