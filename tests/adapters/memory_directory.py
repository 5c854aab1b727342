"""The directory without a store: what `ValkeyDirectory` does, in two dicts.

`tests/adapters/test_directory.py` holds the two to the same suite.
"""

from ocs.usecases.ports import Account, Subscriber


class MemoryDirectory:
    def __init__(self) -> None:
        self._subscribers: dict[tuple[str, str], Subscriber] = {}
        self._accounts: dict[tuple[str, str], Account] = {}
        self.look_ups = 0

    async def subscriber(self, tenant: str, identity: str) -> Subscriber | None:
        self.look_ups += 1
        return self._subscribers.get((tenant, identity))

    async def account(self, tenant: str, account: str) -> Account | None:
        return self._accounts.get((tenant, account))

    async def put_subscriber(self, tenant: str, subscriber: Subscriber) -> bool:
        former = self._subscribers.setdefault((tenant, subscriber.identity), subscriber)
        if former.account != subscriber.account:
            return False
        self._subscribers[tenant, subscriber.identity] = subscriber
        return True

    async def put_account(self, tenant: str, account: Account) -> bool:
        return self._accounts.setdefault((tenant, account.account), account) == account

    async def subscribers(self, tenant: str) -> list[Subscriber]:
        return [found for (owner, _), found in sorted(self._subscribers.items()) if owner == tenant]

    async def accounts(self, tenant: str) -> list[Account]:
        return [found for (owner, _), found in sorted(self._accounts.items()) if owner == tenant]
