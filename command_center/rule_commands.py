"""``command-center rules``: rule packs on the command line, without a database."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from command_center.backtest_command import backtest
from config.settings import BadSetting, from_environment


@click.group()
def rules() -> None:
    """Rule packs."""


@rules.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check_rules(files: tuple[Path, ...]) -> None:
    """Check rule packs and play their examples.

    Each refusal is a line with file, line and reason, each example that comes out otherwise a line with what came; exit
    status 2 when there is one.
    """
    from command_center.city import read_quantities
    from rules.play import differences
    from rules.rulebook import read

    # No database is needed here, so none has to be named.
    settings = from_environment({"CC_DATABASE_URL": "postgresql://none"} | os.environ)
    zone = ZoneInfo(settings.time_zone)
    quantities = {quantity.name: quantity for quantity in read_quantities(settings.city)}
    book = read({str(file): content(file) for file in files}, quantities, datetime.now(zone).date())
    wrong = list(differences(book, quantities, zone))
    for line in (*book.refusals, *wrong):
        click.echo(str(line), err=True)
    click.echo(
        f"{len(book.rules)} rules taken, {len(book.refusals)} refused;"
        f" {len(book.examples)} examples played, {len(wrong)} came out otherwise"
    )
    sys.exit(2 if book.refusals or wrong else 0)


def content(file: Path) -> bytes:
    """A pack's bytes, no more than a pack may have and one. Raises BadSetting."""
    from rules.document import MOST_BYTES

    try:
        with file.open("rb") as opened:
            return opened.read(MOST_BYTES + 1)
    except OSError as problem:
        raise BadSetting(f"cannot read {file}: {problem.strerror}") from None


rules.add_command(backtest)
