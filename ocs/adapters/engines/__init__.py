"""Engines that spread work over the processes of a cluster that is there already.

They know nothing of CDRs: what is to be done comes as a function, and what it is done with as
values. Each is an extra of its own; docs/offline-scale.md says what the others would take.
"""
