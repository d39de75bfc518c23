"""`erpsyncd sandbox`: a stand-in NetServer to rehearse with."""

from __future__ import annotations

import signal
import sys

import click

from erpsyncd.cli.options import Invocation, common_options, pass_invocation
from erpsyncd.cli.output import write_json, write_text
from erpsyncd.errors import DaemonError


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8700, show_default=True, help="0 takes a free one.")
@common_options
@pass_invocation
def sandbox(invocation: Invocation, port: int) -> None:
    """Run a stand-in NetServer on loopback until Ctrl-C.

    It speaks SOAP and REST and forgets everything when it ends. Any first part of the path is a tenant; its user and
    its password are "sandbox".

    \b
    Example:
      erpsyncd sandbox --port 8700
    """
    from erpsyncd.sandbox import SandboxServer  # noqa: PLC0415 -- only this command needs it

    def stop(number: int, _frame: object) -> None:
        raise KeyboardInterrupt(number)

    signal.signal(signal.SIGTERM, stop)
    try:
        server = SandboxServer(open_tenants=True, port=port).start()
    except OSError as exc:
        raise DaemonError(f"cannot listen on 127.0.0.1:{port}: {exc.strerror}; choose another with --port") from exc
    try:
        if invocation.as_json:
            write_json("sandbox", {"url": server.url})
        else:
            write_text(
                f"The sandbox serves {server.url}/NAME for any NAME (user sandbox, password sandbox).\n"
                f"What it holds: {server.url}/_sandbox/state\n"
                "End it with Ctrl-C."
            )
        sys.stdout.flush()
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()
