"""``command-center``: one door for operators and service managers. Every command says what it needs and what it gives."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from sqlalchemy.exc import OperationalError

from command_center.doctor_commands import doctor
from command_center.grid_commands import grid
from command_center.locate_commands import datum
from command_center.provision_commands import broker_certificates
from command_center.quarantine_commands import quarantine
from command_center.rule_commands import rules
from command_center.sensor_commands import sensors
from command_center.standard_commands import standards
from command_center.ticket_commands import tickets
from config.database import UnsafeRole, UnsafeServer
from config.settings import BadSetting, Settings, from_environment


class _Clear(click.Group):
    """Turns what a user can mend into one line on standard error and exit status 2."""

    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            status = super().main(*args, **(extra | {"standalone_mode": False}))
        except click.ClickException as problem:
            context = getattr(problem, "ctx", None)
            where = context.command_path if context is not None else "command-center"
            click.echo(f"{where}: {problem.format_message()} (see --help)", err=True)
            sys.exit(2)
        except click.Abort:
            sys.exit(1)
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (BadSetting, UnsafeRole, UnsafeServer) as problem:
            click.echo(f"command-center {ctx.invoked_subcommand or ''}: {problem}", err=True)
            sys.exit(2)
        except OperationalError as problem:
            line = str(problem.orig).strip().splitlines()[0]
            click.echo(f"command-center {ctx.invoked_subcommand or ''}: the database is away: {line}", err=True)
            sys.exit(1)


@click.group(cls=_Clear, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="command-center")
def main() -> None:
    """City operations command centre: sensors and cameras in, tickets through five tiers, live maps out.

    \b
    Try it:            command-center up --demo
    One process each:  command-center worker | scheduler | web   (settings: CC_DATABASE_URL, CC_MQTT_URL)
    """


@main.command()
@click.option("--demo", is_flag=True, help="Also seed the demo city, write DIR/demo.json and play everyday life.")
@click.option(
    "--var", "var", type=click.Path(path_type=Path), default=Path("var"), show_default=True, help="Data folder."
)
@click.option("--port", type=click.IntRange(0, 65535), help="HTTP port; 0 takes a free one.  [default: 8321]")
def up(var: Path, demo: bool, port: int | None) -> None:
    """Everything on this machine: private database and broker, worker, scheduler, web server. Ctrl-C stops it all."""
    from command_center.local.up import up as run

    sys.exit(run(var, demo, port))


@main.command()
def migrate() -> None:
    """Bring the database to the newest schema. CC_DATABASE_URL names the role cc_owner."""
    from command_center.migrations import upgrade

    upgrade(_settings().database_url)


@main.command()
@click.option("--demo", is_flag=True, required=True, help="The demo city: real codes and names, synthetic shapes.")
def seed(demo: bool) -> None:
    """Fill an empty database. CC_DATABASE_URL names the role cc_worker; CC_DEMO_PASSWORD is every demo account's password."""
    from command_center.demo.seed import seed_demo
    from config.database import worker_engine

    password = os.environ.get("CC_DEMO_PASSWORD")
    if not password:
        raise BadSetting("CC_DEMO_PASSWORD is not set: choose the password of the demo accounts")
    settings = _settings()
    var = settings.var if os.environ.get("CC_VAR") else None
    seed_demo(worker_engine(settings.database_url), settings.city, password, var)


@main.command()
def worker() -> None:
    """Take in messages, evaluate rules, open tickets. Needs CC_DATABASE_URL (role cc_worker) and CC_MQTT_URL."""
    from command_center.worker import Worker, nowhere
    from config.log import start_logging

    settings = _settings()
    settings.require_mqtt()
    _until_told(lambda stop: Worker(settings, start_logging("worker"), stop, nowhere).run())


@main.command()
def scheduler() -> None:
    """Fire deadlines and keep the database tidy. Needs CC_DATABASE_URL (role cc_worker)."""
    from command_center.schedule import run_scheduler
    from config.log import start_logging

    settings = _settings()
    _until_told(lambda stop: run_scheduler(settings, start_logging("scheduler"), stop))


@main.command()
def web() -> None:
    """Serve pages, API and live updates. Needs CC_DATABASE_URL (role cc_web); CC_HTTP_HOST and CC_HTTP_PORT say where."""
    _settings()
    # A new interpreter: gevent has to patch before anything that this one has already imported.
    os.execv(sys.executable, [sys.executable, "-m", "command_center.web"])


@main.command()
@click.argument("scenario", default="everyday")
@click.option(
    "--var", "var", type=click.Path(path_type=Path), help="The running demo's folder.  [default: CC_VAR or var]"
)
def simulate(scenario: str, var: Path | None) -> None:
    """Play the demo city's sensors over MQTT until Ctrl-C, beside what plays already.

    SCENARIO: everyday, storm (streets flood within minutes), gas-leak, crowd, pipe-burst or hazmat. The broker is the
    running demo's, or that of CC_MQTT_URL.
    """
    from command_center.city import read_quantities
    from command_center.demo.scenario import NothingToPlay, UnknownScenario
    from command_center.demo.seed import NoDemo, demo_gateway, demo_sensors
    from command_center.demo.simulate import BadBrokerUrl, run_simulation
    from config.log import start_logging

    folder = var or Path(os.environ.get("CC_VAR") or "var")
    start_logging("simulate")
    try:
        sensors = demo_sensors(folder)
        quantities = {q.name: q for q in read_quantities(os.environ.get("CC_CITY") or "suqian")}
        url = os.environ.get("CC_MQTT_URL") or demo_gateway(folder)
        _until_told(lambda stop: run_simulation(scenario, sensors, quantities, url, stop))
    except (UnknownScenario, NothingToPlay, BadBrokerUrl, NoDemo) as problem:
        raise BadSetting(str(problem)) from None


@main.group()
def cameras() -> None:
    """Cameras and their pictures."""


@cameras.command("check")
@click.argument("camera")
@click.argument("address", required=False)
@click.option("--seconds", type=click.FloatRange(1, 300), default=20.0, show_default=True, help="How long to look.")
def check_camera(camera: str, address: str | None, seconds: float) -> None:
    """Judge a camera's picture (black? frozen?) and send the result down the path as readings of CAMERA.

    ADDRESS is a file or a rtsp://, http:// address; without it the catalogue's own. Hosts must be listed in CC_STREAM_HOSTS.
    Needs CC_DATABASE_URL and CC_MQTT_URL; ends with 0 once the readings are stored.
    """
    from command_center.picture_check import NotAPictureSource, check
    from ingest.mqtt import NotDelivered
    from video.capture import PictureUnavailable

    try:
        health, receipt = check(_settings(), camera, address, seconds)
    except NotAPictureSource as problem:
        raise BadSetting(str(problem)) from None
    except (PictureUnavailable, NotDelivered) as problem:
        click.echo(f"command-center cameras check: {problem}", err=True)
        sys.exit(1)
    click.echo(
        f"{camera}: {health.frames} frames in {health.span_s:.1f} s, dark {health.dark_share:.0%},"
        f" unchanged for {health.still_s:.1f} s; stored: {receipt['stored']}"
    )
    for refusal in receipt["rejected"]:
        click.echo(f"rejected: {refusal['reason']}: {refusal['detail']}", err=True)
    sys.exit(0 if receipt["stored"] else 1)


@main.command()
@click.argument("name")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures there too."
)
def bench(name: str, json_file: Path | None) -> None:
    """Measure again the figures that the documentation quotes. Exit status 1 when a goal is missed."""
    from command_center import bench as benchmarks
    from command_center.bench.figure import table
    from command_center.local.child import ServerFailed

    try:
        figures = benchmarks.run(name)
    except (benchmarks.UnknownBenchmark, ServerFailed) as problem:
        raise BadSetting(str(problem)) from None
    click.echo(table(figures))
    if json_file is not None:
        try:
            json_file.write_text(
                json.dumps([figure.as_json() for figure in figures], indent=1) + "\n", encoding="utf-8"
            )
        except OSError as problem:
            raise BadSetting(f"cannot write {json_file}: {problem.strerror}") from None
    sys.exit(1 if any(figure.met is False for figure in figures) else 0)


main.add_command(grid)


main.add_command(datum)


main.add_command(standards)


main.add_command(rules)


main.add_command(quarantine)


main.add_command(sensors)


main.add_command(tickets)


main.add_command(broker_certificates)


main.add_command(doctor)


def _settings() -> Settings:
    return from_environment(os.environ)


def _until_told(run: Callable[[threading.Event], None]) -> None:
    """Run something that ends when its event is set, which SIGTERM and SIGINT do."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run(stop)


if __name__ == "__main__":
    main()
