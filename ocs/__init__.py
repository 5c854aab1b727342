"""`ocs`: realtime online charging. The tour of the files is in README.md."""

__version__ = "0.1.0"
