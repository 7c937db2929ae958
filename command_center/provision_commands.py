"""``command-center sensors provision``: accounts of sensors at the broker, each for its own topics in its own county."""

from __future__ import annotations

import csv
import io
import os
import re
import secrets
import signal
from collections.abc import Container, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click
from sqlalchemy import Connection, Engine

from command_center import broker_file
from command_center.broker_file import ALGORITHM, SALT_BYTES, Login
from command_center.local import broker as private_broker
from command_center.local import certificate
from command_center.local.child import ServerFailed
from command_center.local.running import running_settings
from command_center.local.secret import write_private
from config.database import worker_engine
from config.settings import BadSetting, from_environment
from ingest.credential_store import Credential, drop_credentials, load_credentials, save_credentials
from ingest.sensor import Catalogue, Sensor
from ingest.store import load_catalogue

_SECRET_BYTES = 24
# An id may have a colon; in Mosquitto's password file it would end the name.
_USERNAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@click.command("provision")
@click.argument("sensors", nargs=-1, metavar="[SENSOR]...")
@click.option("--all", "every", is_flag=True, help="Every sensor of the catalogue that has no account yet.")
@click.option("--rotate", is_flag=True, help="New secrets also for those that have one; the old ones end.")
@click.option("--revoke", is_flag=True, help="Take the accounts of the named sensors away.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV file for the new secrets, readable by you only. They are shown nowhere else and never again.",
)
@click.option(
    "--broker",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder with the broker's `passwords` and `topics.acl`.  [default: the private broker of CC_VAR or var]",
)
def provision(
    sensors: tuple[str, ...], every: bool, rotate: bool, revoke: bool, out: Path | None, folder: Path | None
) -> None:
    """Give sensors an account at the broker and write its files; without sensors only write the files again.

    A sensor may publish under its own county and id only and receive its own receipts. The database keeps digests. A private
    broker that runs is told to read its files again; any other needs SIGHUP. Needs CC_DATABASE_URL (role cc_worker).
    """
    if revoke and (every or rotate or out is not None):
        raise click.UsageError("--revoke goes with names of sensors only")
    var = Path(os.environ.get("CC_VAR") or "var")
    settings = from_environment(running_settings(var) | {k: v for k, v in os.environ.items() if v})
    files = folder or private_broker.folder_of(settings.var)
    if not (files / "topics.acl").is_file() or not (files / "passwords").is_file():
        raise BadSetting(f"--broker {files}: there are no topics.acl and passwords of a broker (see docs/operate.md)")
    taken = set(broker_file.users(broker_file.people_part((files / "topics.acl").read_text("utf-8"))))
    engine = worker_engine(settings.database_url, pool_size=1)
    try:
        made = _change(engine, _Wish(sensors, every, rotate, revoke, out), taken)
        with engine.connect() as connection:
            logins = [Login(*row) for row in load_credentials(connection)]
    finally:
        engine.dispose()
    _write_files(files, logins)
    told = _reload(files)
    where = "" if out is None or not made else f"; secrets: {out}"
    click.echo(f"{made} accounts {'taken away' if revoke else 'made'}, {len(logins)} in {files}{where}; {told}")


@click.command("broker-certificates")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--host", "hosts", multiple=True, required=True, help="Name or address that clients connect to; repeat it."
)
def broker_certificates(folder: Path, hosts: tuple[str, ...]) -> None:
    """Make an authority and a certificate for the broker in FOLDER, with openssl. Clients get its ca.crt, nobody its ca.key.

    Asked again it makes the server's anew a month before it ends or for other hosts; the authority stays.
    """
    try:
        made = certificate.ensure(folder, hosts)
    except (certificate.UnfitHost, ServerFailed) as problem:
        raise BadSetting(str(problem)) from None
    except OSError as problem:
        raise BadSetting(f"{folder}: {problem.strerror}") from None
    click.echo(f"{made.server} for {', '.join(hosts)}; clients trust {made.authority}")


class _Wish(NamedTuple):
    """What the command line asks for."""

    names: tuple[str, ...]
    every: bool
    rotate: bool
    revoke: bool
    out: Path | None


def _change(engine: Engine, wish: _Wish, taken: Container[str]) -> int:
    """Make or drop credentials; how many. ``taken``: the broker's user names that are no sensors'."""
    if not wish.names and not wish.every:
        if wish.rotate or wish.revoke or wish.out is not None:
            raise click.UsageError("name sensors, or --all")
        return 0
    if wish.out is not None and wish.out.exists():
        raise BadSetting(f"--out {wish.out} is there already: secrets are never written over")
    with engine.begin() as connection:
        catalogue = load_catalogue(connection)
        if wish.revoke:
            return drop_credentials(connection, wish.names)
        _check(wish.names, catalogue)
        having = {sensor for sensor, _, _ in load_credentials(connection)}
        chosen = [sensor for sensor in _named(wish, catalogue) if wish.rotate or sensor.id not in having]
        for sensor in chosen:
            if sensor.id in taken:
                raise BadSetting(
                    f"sensor {sensor.id!r} has the name of another account of the broker: rename one of them"
                )
        if not chosen:
            return 0
        if wish.out is None:
            raise BadSetting(f"{len(chosen)} new secrets need --out FILE: they are given out once")
        return _issue(connection, chosen, wish.out)


def _check(names: Iterable[str], catalogue: Catalogue) -> None:
    for name in names:
        if name not in catalogue.sensors:
            raise BadSetting(f"sensor {name[:64]!r} is not in the catalogue: import it first")
        if not _USERNAME.fullmatch(name):
            raise BadSetting(f"sensor {name[:64]!r} cannot be a user name of Mosquitto: letters, digits and _.- only")


def _named(wish: _Wish, catalogue: Catalogue) -> list[Sensor]:
    if not wish.every:
        return [catalogue.sensors[name] for name in dict.fromkeys(wish.names)]
    fit = [sensor for sensor in catalogue.sensors.values() if _USERNAME.fullmatch(sensor.id)]
    if len(fit) < len(catalogue.sensors):
        left_out = len(catalogue.sensors) - len(fit)
        click.echo(f"{left_out} sensors have a colon in their id, which Mosquitto's user names cannot have", err=True)
    return fit


def _issue(connection: Connection, chosen: Sequence[Sensor], out: Path) -> int:
    """The secrets lie on disk before the database knows their digests: a crash between leaves secrets that open nothing."""
    now = datetime.now(UTC)
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(("sensor", "county", "username", "password", "publish", "receive"))
    made = []
    for sensor in chosen:
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        write, read = broker_file.topics(sensor.county, sensor.id)
        rows.writerow((sensor.id, sensor.county, sensor.id, secret, " ".join(write), " ".join(read)))
        digest = broker_file.digest(secret, secrets.token_bytes(SALT_BYTES))
        made.append(Credential(sensor.id, ALGORITHM, digest, now))
    try:
        write_private(out, text.getvalue())
    except OSError as problem:
        raise BadSetting(f"--out {out}: {problem.strerror}") from None
    save_credentials(connection, made)
    return len(made)


def _write_files(folder: Path, logins: Sequence[Login]) -> None:
    """Both files anew, each at once and with the owner it had: a broker that reads meanwhile finds the old or the new one."""
    topic_file, password_file = folder / "topics.acl", folder / "passwords"
    people = broker_file.people_part(topic_file.read_text("utf-8"))
    kept = broker_file.logins_in(password_file.read_text("utf-8"))
    own = {name: kept[name] for name in broker_file.users(people) if name in kept}
    sensors = {login.sensor: login.digest for login in logins if login.sensor not in own}
    # Rights first: an account that is not let in yet harms nobody.
    _replace(topic_file, people + broker_file.sensor_rights(one for one in logins if one.sensor in sensors))
    _replace(password_file, broker_file.password_text(own | sensors))


def _replace(path: Path, text: str) -> None:
    before = path.stat()
    write_private(path, text)
    path.chmod(before.st_mode & 0o777)
    if os.geteuid() == 0:
        os.chown(path, before.st_uid, before.st_gid)


def _reload(folder: Path) -> str:
    pid = private_broker.running_pid(folder)
    if pid is None:
        return "send the broker SIGHUP, it reads them then"
    try:
        os.kill(pid, signal.SIGHUP)
    except PermissionError:
        return f"send process {pid} SIGHUP as its own user, it reads them then"
    return f"the broker (process {pid}) was told to read them"
