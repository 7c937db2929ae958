"""``command-center doctor``: is this installation well, and what to do where it is not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from command_center.doctor import Level
from config.settings import BadSetting, from_environment


@click.command()
@click.option(
    "--lang", type=click.Choice(["zh", "en"]), default="zh", show_default=True, help="Language of the findings."
)
@click.option(
    "--broker-config",
    "configuration",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The broker's mosquitto.conf.  [default: that of the private broker]",
)
def doctor(lang: str, configuration: Path | None) -> None:
    """Look at database, broker, disks and clocks, one line each: 好, 注意 or 坏, and what to do.

    Exit status 1 when something is bad. Looks at the servers of CC_DATABASE_URL (role cc_worker) and CC_MQTT_URL, or at
    those of the `up` that runs on CC_VAR (or var). Changes nothing.
    """
    from command_center.doctor_look import look
    from command_center.local.broker import folder_of
    from command_center.local.running import running_settings

    if configuration is not None and not configuration.is_file():
        raise BadSetting(f"--broker-config {configuration}: there is no such file")
    var = Path(os.environ.get("CC_VAR") or "var")
    settings = from_environment(running_settings(var) | {k: v for k, v in os.environ.items() if v})
    own = folder_of(var) / "mosquitto.conf"
    if configuration is None and own.is_file() and not os.environ.get("CC_MQTT_URL"):
        configuration = own
    bad = False
    for finding in look(settings.database_url, settings.mqtt_url, var, configuration):
        click.echo(finding.line(lang))
        bad |= finding.level is Level.BAD
    sys.exit(1 if bad else 0)
