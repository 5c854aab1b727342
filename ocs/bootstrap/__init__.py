"""Where concrete adapters are named and everything is put together, once, from the settings.

`stores` opens what is kept (for commands and workers alike), `builder` compiles tariffs in a
process of its own, `worker` makes a worker, `serve` the parent of them all. Nothing else in `ocs`
names an adapter; entry points and use cases are handed what they need.
"""
