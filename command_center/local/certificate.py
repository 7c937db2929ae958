"""A certificate authority of one's own and a server certificate for the broker, made by openssl's command line."""

from __future__ import annotations

import ipaddress
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from command_center.local import child
from command_center.local.child import ServerFailed

_YEARS = 10
_SERVER_DAYS = 825
_RENEW_BEFORE_S = 30 * 24 * 3600
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})")


class UnfitHost(Exception):
    """A name that cannot stand in a certificate."""


@dataclass(frozen=True)
class Certificates:
    """Files in PEM: ``authority`` is what clients are given, the keys are readable by their owner only."""

    authority: Path
    authority_key: Path
    server: Path
    server_key: Path


def ensure(folder: Path, hosts: Sequence[str]) -> Certificates:
    """The certificates in ``folder``, made where there are none; the server's is made anew a month before it ends.

    ``hosts`` are the names and addresses under which clients reach the server. Raises UnfitHost, ServerFailed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # clients read the authority's certificate; the keys are closed by themselves
    found = Certificates(*(folder / name for name in ("ca.crt", "ca.key", "server.crt", "server.key")))
    names = ",".join(_alternative(host) for host in hosts)
    if not (found.authority.exists() and found.authority_key.exists()):
        _key(found.authority_key)
        subject = ["-subj", "/CN=command-center broker authority", "-days", str(_YEARS * 365), "-sha256"]
        extensions = [
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ]
        _openssl("req", "-x509", "-new", "-key", found.authority_key, *subject, *extensions, "-out", found.authority)
        found.server.unlink(missing_ok=True)
    if not _serves(found, names):
        _make_server(found, hosts[0], names)
    return found


def _serves(found: Certificates, names: str) -> bool:
    """Whether the server's certificate is there, is for these names and lasts."""
    kept = found.server.with_suffix(".names")
    if not (found.server.exists() and found.server_key.exists() and kept.exists() and kept.read_text("utf-8") == names):
        return False
    lasting = ["x509", "-noout", "-checkend", str(_RENEW_BEFORE_S), "-in", str(found.server)]
    return subprocess.run([_binary(), *lasting], capture_output=True, check=False).returncode == 0


def _make_server(found: Certificates, host: str, names: str) -> None:
    _key(found.server_key)
    wish, extensions = found.server.with_suffix(".csr"), found.server.with_suffix(".ext")
    extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n", "utf-8")
    _openssl("req", "-new", "-key", found.server_key, "-subj", f"/CN={host[:64]}", "-out", wish)
    signer: list[str | Path] = ["-CA", found.authority, "-CAkey", found.authority_key, "-CAcreateserial"]
    life: list[str | Path] = ["-days", str(_SERVER_DAYS), "-sha256", "-extfile", extensions]
    _openssl("x509", "-req", "-in", wish, *signer, *life, "-out", found.server)
    found.server.with_suffix(".names").write_text(names, "utf-8")
    for file in (wish, extensions):
        file.unlink()


def _key(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)


def _alternative(host: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(host)}"
    except ValueError:
        if not _HOST.fullmatch(host):
            raise UnfitHost(f"{host!r} is no host name or address") from None
        return f"DNS:{host}"


def _openssl(*arguments: str | Path) -> None:
    argv = [_binary(), *map(str, arguments)]
    done = subprocess.run(argv, cwd="/", env=child.clean_environment(), capture_output=True, check=False)
    if done.returncode:
        raise ServerFailed(f"openssl {arguments[0]} failed: {done.stderr.decode('utf-8', 'replace').strip()[-300:]}")


def _binary() -> str:
    found = shutil.which("openssl", path="/usr/bin:/usr/local/bin")
    if found is None:
        raise ServerFailed("openssl is not installed: run deploy/setup.sh or `make setup`")
    return found
