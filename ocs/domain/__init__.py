"""What charging is: money, prices, wallets and sessions as pure functions of their arguments.

Nothing here waits, reads a clock or touches the outside: time is an argument, and `msgspec.Struct`
is the only import from beyond the standard library. So every rule about money can be tested in
microseconds and replayed exactly.
"""
