"""`usecases.Answer` into the bytes that a source's client reads."""
