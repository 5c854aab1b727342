"""The journal on disk: append-only files with a hash chain a partition.

    journal/heads            how far each partition is written: what counts; atomically replaced
    journal/lock             held by the one drainer of this folder
    journal/017/00000001     a reel: blocks of entries, the oldest first
    journal/017/00000002     the next one, which continues its chain
    journal/017/checkpoint   the wallets' numbers at an entry; atomically replaced

`blocks` is the form of a reel, `heads` what counts of them, `folder` the one that writes, `reading`
and `auditing` those that read, also while it writes.
"""
