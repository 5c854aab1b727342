"""Bytes of a client into `domain.Event`, or into the answer that names what is wrong with them."""
