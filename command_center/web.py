"""The web process. Run as ``python -m command_center.web``, because gevent must patch before anything else is imported."""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402

import gevent  # noqa: E402
import psycopg.waiting  # noqa: E402
from flask import Flask  # noqa: E402
from flask_socketio import SocketIO  # noqa: E402
from sqlalchemy.exc import OperationalError  # noqa: E402
from structlog.stdlib import BoundLogger  # noqa: E402

from command_center.app import NoCity, make_app  # noqa: E402
from command_center.push import Push  # noqa: E402
from config.database import UnsafeRole, UnsafeServer  # noqa: E402
from config.log import start_logging  # noqa: E402
from config.settings import BadSetting, Settings, from_environment  # noqa: E402

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0


class BlockingDriver(RuntimeError):
    """psycopg would wait in C, where gevent cannot switch: no console would get through."""


def main() -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    if psycopg.waiting.wait.__module__ != "psycopg.waiting":
        raise BlockingDriver("psycopg waits in C: gevent must be patched before psycopg is imported")
    try:
        settings = from_environment(os.environ)
        _serve(settings, start_logging("web"))
    except (BadSetting, NoCity, UnsafeRole, UnsafeServer) as problem:
        print(f"command-center web: {problem}", file=sys.stderr)
        return 2
    return 0


def _serve(settings: Settings, log: BoundLogger) -> None:
    app, socketio, push = _composed(settings, log)
    push.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, socketio.stop)
    log.info("serving", url=f"http://{settings.http_host}:{settings.http_port}")
    socketio.run(app, host=settings.http_host, port=settings.http_port, log_output=False)


def _composed(settings: Settings, log: BoundLogger) -> tuple[Flask, SocketIO, Push]:
    """Wait for a database that is still starting; anything else that is wrong is said at once."""
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            return make_app(settings, log)
        except OperationalError as problem:
            log.warning("database away, waiting", problem=str(problem.orig)[:200])
            gevent.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


if __name__ == "__main__":
    sys.exit(main())
