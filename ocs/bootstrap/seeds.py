"""The accounts and subscribers that the configuration names, created where they are missing."""

import logging
from collections.abc import Callable
from pathlib import Path

from ocs.bootstrap.stores import CannotStart, Stores
from ocs.config.settings import Settings
from ocs.domain.numbers import clean_number
from ocs.usecases.crediting import Crediting
from ocs.usecases.ports import LedgerUnavailable, OutcomeUnknown
from ocs.usecases.provisioning import Provisioning
from ocs.usecases.seed_files import BadSeedLine, SeedFile, read_accounts, read_subscribers
from ocs.usecases.seeding import Seeding

_NO_ACCOUNTS = "account,currency,kind,floor,balance\n"
_NO_SUBSCRIBERS = "identity,account,plan\n"

_log = logging.getLogger(__name__)


def seed_files(settings: Settings) -> tuple[SeedFile, SeedFile]:
    """Read both files; one that is not named is empty. Raises `CannotStart`."""
    accounts = _read(settings.provision.accounts, _NO_ACCOUNTS)
    return accounts, _read(settings.provision.subscribers, _NO_SUBSCRIBERS)


def bad_seed_lines(settings: Settings) -> list[BadSeedLine]:
    """Tell what is wrong with the files by themselves, without a store. Raises `CannotStart`."""
    accounts, subscribers = seed_files(settings)
    _, bad_accounts = read_accounts(accounts)
    plans = [plan.name for plan in settings.plans]
    _, bad_subscribers = read_subscribers(subscribers, plans, cleaner(settings))
    return [*bad_accounts, *bad_subscribers]


async def seed(settings: Settings, stores: Stores) -> None:
    """Create what is missing. Raises `CannotStart` with every line that cannot be read.

    A line that disagrees with the store is logged and changes nothing: what is in force there was
    decided later than the file, and a service must not stay down for it.
    """
    bad = bad_seed_lines(settings)
    if bad:
        raise CannotStart("\n".join(told(line) for line in bad))
    accounts, subscribers = seed_files(settings)
    provisioning = Provisioning(stores.directory, stores.ledger)
    crediting = Crediting(stores.directory, stores.ledger)
    plans = [plan.name for plan in settings.plans]
    try:
        report = await Seeding(provisioning, crediting, cleaner(settings)).seed(
            settings.provision.tenant, accounts, subscribers, plans
        )
    except (LedgerUnavailable, OutcomeUnknown) as error:
        raise CannotStart(f"the store: {error}") from None
    for line in report.bad:
        _log.warning("not provisioned: %s:%d: %s", line.file, line.line, line.reason)
    if report.accounts_created or report.subscribers_created:
        _log.info(
            "provisioned %d accounts and %d subscribers",
            report.accounts_created,
            report.subscribers_created,
        )


def cleaner(settings: Settings) -> Callable[[str], str]:
    """Bring an identity into the form in which events of the provisioned tenant will name it."""
    tenant = next(each for each in settings.tenants if each.name == settings.provision.tenant)
    rules = tenant.rules()
    return lambda identity: clean_number(identity, rules)


def told(line: BadSeedLine) -> str:
    """Write a bad line for people."""
    where = f"{line.file}:{line.line}"
    return f"{where}: {line.column}: {line.reason}" if line.column else f"{where}: {line.reason}"


def _read(path: str, absent: str) -> SeedFile:
    if not path:
        return SeedFile("none", absent)
    file = Path(path)
    try:
        return SeedFile(file.name, file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CannotStart(f"{path} is not UTF-8 text") from None
