"""Settings: `settings` says what there is, `reader` how the file becomes it."""
