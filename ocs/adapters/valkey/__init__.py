"""What `ocs` knows about Valkey and Redis: the connection, the function library, the server.

In reading order: `faults` says what can go wrong, `pipeline` is one link, `connection` keeps a link
alive, `functions` makes and loads the library that moves money, `embedded` starts and watches the
server that comes with `ocs`.
"""
