"""`ocs serve`: the service, until Ctrl-C."""

import os
import sys
from typing import Annotated, Final

import msgspec
import typer
from msgspec.structs import replace

from ocs.adapters.clock import wall_ms
from ocs.bootstrap.serve import Ready
from ocs.bootstrap.serve import serve as run_service
from ocs.bootstrap.stores import CannotStart
from ocs.cli.options import ConfigOption, DirectoryOption, fail, settings_of
from ocs.config.settings import Settings

_PORT = typer.Option(
    "--port", "-p", min=0, max=65_535, help="Instead of the configured one; 0: any."
)
_OPERATIONS = typer.Option("--operations-port", min=0, max=65_535, help="Of worker 0; 0: any.")

# A call to London: granted, continued, ended. Amounts are seconds.
_WHO = {"subscriber": "441632960001", "called_number": "442071234567"}
_EXAMPLES: Final[dict[str, dict[str, int]]] = {
    "start": {"requested_units": 60},
    "update": {"used_units": 60, "requested_units": 60},
    "release": {"used_units": 15},
}


def serve(
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    host: Annotated[str | None, typer.Option(help="Instead of the configured one.")] = None,
    port: Annotated[int | None, _PORT] = None,
    operations_port: Annotated[int | None, _OPERATIONS] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="0: one a processor.")] = None,
) -> None:
    """Serve POST /realtime until Ctrl-C, with the embedded store in the data directory."""
    wanted = {"host": host, "port": port, "operations_port": operations_port, "workers": workers}
    named = {key: value for key, value in wanted.items() if value is not None}
    settings = settings_of(config, directory)
    settings = replace(settings, server=replace(settings.server, **named))
    count = settings.server.workers or os.cpu_count() or 1
    try:
        code = run_service(settings, count, lambda ready: _tell(ready, settings))
    except CannotStart as error:
        raise fail(str(error)) from None
    raise typer.Exit(code)


def _tell(ready: Ready, settings: Settings) -> None:
    """Say that it serves, and how to try it."""
    strong = "\033[1m" if sys.stdout.isatty() else ""
    plain = "\033[0m" if strong else ""
    store = ready.store or f"embedded, in {settings.store.directory}"
    lines = [
        f"{strong}ocs serves {ready.url}/realtime{plain}",
        "",
        *(f"  operations  {url}/metrics  /livez  /readyz" for url in ready.operations_urls),
        f"  tariffs     {ready.tariffs}",
        f"  store       {store} (durability {settings.store.durability})",
        "",
        "Try it from another terminal: a call is started, goes on, and ends.",
        "",
    ]
    credential = " -H 'Authorization: Bearer <token>'" if ready.has_credentials else ""
    # A call of its own for each start: yesterday's would be remembered, and answered as a repeat.
    session = f"call-{wall_ms()}"
    for number, (name, units) in enumerate(_EXAMPLES.items()):
        event = {"record_type": f"{name}_request", "request_number": number, "session_id": session}
        body = msgspec.json.encode(event | _WHO | units).decode()
        lines += [f"# {name}", f"curl -s {ready.url}/realtime{credential} -d '{body}'", ""]
    lines.append("Ctrl-C ends it; the data stays.")
    typer.echo("\n".join(lines))
    sys.stdout.flush()
