"""What `docs/design.md` 2.14 says of finished CDRs, as plainly as Python can say it."""

from ocs.domain.results import ResultCode
from ocs.domain.session import State
from ocs.domain.wallet import MAIN
from ocs.usecases.ports import CDR_DAYS, DAY_MS, CdrDebit, CdrFate, DebitCall, DebitReply
from tests.adapters.reference_records import Books, Wallet


class Debit:
    """One call, decided on a copy of the wallet."""

    def __init__(self, call: DebitCall, wallet: Wallet, online: dict[str, State]) -> None:
        """Prepare; `online` are the states of the sessions that the ledger knows, by id."""
        self.call, self.wallet, self.online = call, wallet, online
        self.seen: set[str] = set()
        self.total = self.count = self.overrun = 0

    def run(self) -> list[tuple[CdrFate, int]]:
        fates = [self._judge(cdr) for cdr in self.call.cdrs]
        self.overrun = max(0, self.total - self.wallet.available(MAIN))
        self.wallet.pay_in(MAIN, -self.total)
        return fates

    def _judge(self, cdr: CdrDebit) -> tuple[CdrFate, int]:
        if cdr.cdr_id in self.seen:
            return CdrFate.KNOWN, 0
        self.seen.add(cdr.cdr_id)
        key = self.call.account, self.call.day, cdr.cdr_id
        if key in self.wallet.cdrs:
            chunk, fate, amount = self.wallet.cdrs[key]
            if fate is CdrFate.ONLINE or chunk == self.call.chunk:
                return fate, amount
            return CdrFate.KNOWN, 0
        today = self.wallet.last_ms // DAY_MS
        if self.call.day < today - CDR_DAYS:
            return CdrFate.TOO_OLD, 0
        if self.call.day > today + 1:
            return CdrFate.AHEAD, 0
        fate, amount = CdrFate.DEBITED, cdr.amount
        if self.online.get(cdr.session_id, State.REFUSED) is not State.REFUSED:
            fate, amount = CdrFate.ONLINE, 0
        self.wallet.cdrs[key] = self.call.chunk, fate, amount
        self.count += fate is CdrFate.DEBITED
        self.total += amount
        return fate, amount


def concluded(books: Books, debit: Debit, fates: list[tuple[CdrFate, int]]) -> DebitReply:
    """Write what a debit changed, and answer."""
    transaction_id, call = "", debit.call
    if debit.count:
        transaction_id = books.write("debit", call.wallet, debit.wallet, None)
    else:
        books.wallets[call.wallet].cdrs = debit.wallet.cdrs
    return DebitReply(
        code=ResultCode.OK,
        transaction_id=transaction_id,
        overrun_amount=debit.overrun,
        fates=tuple(fate for fate, _ in fates),
        amounts=tuple(amount for _, amount in fates),
    )
