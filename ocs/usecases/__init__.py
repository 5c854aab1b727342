"""What the system does: each use case prepares, calls one port, finishes."""
