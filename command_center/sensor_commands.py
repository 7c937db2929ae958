"""``command-center sensors``: the catalogue of sensors."""

from __future__ import annotations

import click

from command_center.provision_commands import provision


@click.group()
def sensors() -> None:
    """The catalogue of sensors, and with what they log in at the broker."""


sensors.add_command(provision)
