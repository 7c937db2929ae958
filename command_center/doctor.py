"""What is well with an installation, what wants attention and what is bad: facts in, findings out, in two languages.

Nothing here looks at anything: ``doctor_look`` brings the facts. What a fact cannot tell is said to be unknown.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from ingest.broker_probe import Probe

POSTGRESQL_WANTED: Final = 15
POSTGIS_WANTED: Final = 3
SLACK_S: Final = 1.0
"""Clocks of program and database this far apart are told; SKEWED_S apart, times in tickets cannot be believed."""
SKEWED_S: Final = 5.0
LITTLE_SHARE, TOO_LITTLE_SHARE = 0.10, 0.03
BEAT_S: Final = 30.0
SAVED_AFTER_MOST: Final = 1000
CERTIFICATE_DAYS: Final = 30
INFLIGHT_LEAST: Final = 100
LARGEST_PACKET: Final = 1024 * 1024


class Level(StrEnum):
    """How it is."""

    GOOD = "good"
    ATTENTION = "attention"
    BAD = "bad"


_WORDS: Final = {
    Level.GOOD: {"zh": "好", "en": "good"},
    Level.ATTENTION: {"zh": "注意", "en": "attention"},
    Level.BAD: {"zh": "坏", "en": "bad"},
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: how it is, what was seen, and what to do about it where there is something to do."""

    level: Level
    zh: str
    en: str
    todo_zh: str = ""
    todo_en: str = ""

    def line(self, language: str) -> str:
        """``language``: zh or en."""
        seen, todo = (self.zh, self.todo_zh) if language == "zh" else (self.en, self.todo_en)
        mark = _WORDS[self.level][language]
        return f"{mark}  {seen}" + (f"  → {todo}" if todo else "")


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What the database says of itself. ``clock_ahead_s``: its clock less ours; ``beats``: seconds since a process's last."""

    version: int
    postgis: str | None
    settings: Mapping[str, str]
    revision: str | None
    head: str
    clock_ahead_s: float
    partition_today: bool
    beats: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Space:
    """Of a folder's file system, bytes."""

    what: str
    free: int
    total: int


def judge_unreachable(what_zh: str, what_en: str, problem: str, todo_zh: str, todo_en: str) -> Finding:
    """Something did not answer."""
    return Finding(Level.BAD, f"{what_zh}不可用：{problem}", f"{what_en} cannot be used: {problem}", todo_zh, todo_en)


def judge_database(facts: DatabaseFacts) -> list[Finding]:
    """Version, durability, schema, clock, partitions and the processes that beat in it."""
    return [
        _version(facts),
        _postgis(facts.postgis),
        *_durability(facts.settings),
        _schema(facts.revision, facts.head),
        _clock(facts.clock_ahead_s),
        *([_partition(facts.partition_today)] if facts.revision == facts.head else []),
        *(_beat(name, age_s) for name, age_s in facts.beats.items()),
    ]


def _version(facts: DatabaseFacts) -> Finding:
    major = facts.version // 10_000
    if major < POSTGRESQL_WANTED:
        return Finding(
            Level.BAD,
            f"PostgreSQL {major}：低于 {POSTGRESQL_WANTED}",
            f"PostgreSQL {major} is older than {POSTGRESQL_WANTED}",
            "升级数据库",
            "upgrade the database",
        )
    return Finding(Level.GOOD, f"数据库可用：PostgreSQL {major}", f"the database answers: PostgreSQL {major}")


def _postgis(version: str | None) -> Finding:
    if version is None or int(version.split(".")[0]) < POSTGIS_WANTED:
        return Finding(
            Level.BAD,
            f"PostGIS：{version or '没有安装'}，需要 {POSTGIS_WANTED} 或更新",
            f"PostGIS: {version or 'not installed'}, {POSTGIS_WANTED} or newer is needed",
            "以超级用户执行 deploy/roles.sql",
            "run deploy/roles.sql as superuser",
        )
    return Finding(Level.GOOD, f"PostGIS {version}", f"PostGIS {version}")


def _durability(settings: Mapping[str, str]) -> list[Finding]:
    off = [name for name in ("fsync", "full_page_writes", "synchronous_commit") if settings.get(name) == "off"]
    found = [
        Finding(
            Level.BAD,
            f"{name} = off：断电会丢失或损坏已提交的数据",
            f"{name} = off: a power cut loses or tears what was committed",
            f"ALTER SYSTEM SET {name} = on 后重新加载",
            f"ALTER SYSTEM SET {name} = on, then reload",
        )
        for name in off
    ]
    if not off:
        found.append(
            Finding(
                Level.GOOD,
                "fsync、full_page_writes、synchronous_commit 均已打开",
                "fsync, full_page_writes and synchronous_commit are on",
            )
        )
    if settings.get("data_checksums") == "off":
        found.append(
            Finding(
                Level.ATTENTION,
                "数据页没有校验和，磁盘损坏不会被发现",
                "data pages have no checksums: a rotten disk is not noticed",
                "停机后执行 pg_checksums --enable",
                "run pg_checksums --enable while it is stopped",
            )
        )
    return found


def _schema(revision: str | None, head: str) -> Finding:
    if revision == head:
        return Finding(Level.GOOD, f"表结构为最新（{head}）", f"the schema is the newest ({head})")
    return Finding(
        Level.BAD,
        f"表结构为 {revision or '空'}，程序需要 {head}",
        f"the schema is {revision or 'empty'}, the program needs {head}",
        "以 cc_owner 执行 command-center migrate",
        "run command-center migrate as cc_owner",
    )


def _clock(ahead_s: float) -> Finding:
    apart = abs(ahead_s)
    if apart < SLACK_S:
        return Finding(Level.GOOD, "本机与数据库的时钟一致", "the clocks of this machine and the database agree")
    return Finding(
        Level.BAD if apart >= SKEWED_S else Level.ATTENTION,
        f"数据库时钟比本机{'快' if ahead_s > 0 else '慢'} {apart:.1f} 秒",
        f"the database's clock is {apart:.1f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's",
        "两台机器都用 chrony 或 NTP 对时",
        "set both by chrony or NTP",
    )


def _partition(there: bool) -> Finding:
    if there:
        return Finding(Level.GOOD, "今天的读数分区已建立", "today's partition of readings is there")
    return Finding(
        Level.ATTENTION,
        "今天的读数分区尚未建立",
        "today's partition of readings is not there yet",
        "启动 worker 或 scheduler，它们会提前建立",
        "start worker or scheduler: they make it ahead",
    )


def _beat(process: str, age_s: float | None) -> Finding:
    if age_s is not None and age_s <= BEAT_S:
        return Finding(Level.GOOD, f"{process} 在运行", f"{process} runs")
    zh = "从未运行" if age_s is None else f"已 {age_s:.0f} 秒没有心跳"
    en = "has never run" if age_s is None else f"has said nothing for {age_s:.0f} s"
    return Finding(
        Level.ATTENTION,
        f"{process} {zh}",
        f"{process} {en}",
        f"启动 command-center {process}",
        f"start command-center {process}",
    )


def judge_space(space: Space) -> Finding:
    """Whether there is room on a disk."""
    share = space.free / space.total if space.total else 0.0
    level = Level.BAD if share < TOO_LITTLE_SHARE else Level.ATTENTION if share < LITTLE_SHARE else Level.GOOD
    amount = f"{space.free / 1e9:.1f} GB / {space.total / 1e9:.1f} GB"
    return Finding(
        level,
        f"磁盘（{space.what}）剩余 {amount}",
        f"disk ({space.what}): {amount} free",
        "" if level is Level.GOOD else "清理或扩容；磁盘写满时数据库会停止",
        "" if level is Level.GOOD else "free or add space: with a full disk the database stops",
    )


def judge_broker(facts: Probe, url: str) -> list[Finding]:
    """What a client can see of the broker, and what of it cannot be seen."""
    name = facts.version or "未公布版本"
    found = [
        Finding(
            Level.GOOD,
            f"消息代理可用：{name}，往返 {facts.answer_s * 1000:.0f} 毫秒",
            f"the broker answers: {facts.version or 'version not told'}, {facts.answer_s * 1000:.0f} ms there and back",
        ),
        _encryption(url, facts.certificate_days),
    ]
    if facts.session_kept:
        found.append(
            Finding(
                Level.GOOD,
                "断开后会话得到保留，worker 离开期间的消息会等它",
                "sessions outlive their connection: messages wait for a worker that is away",
            )
        )
    else:
        found.append(
            Finding(
                Level.BAD,
                "断开后会话没有保留，worker 离开期间的消息会丢失",
                "sessions end with their connection: what comes while the worker is away is lost",
                "允许持久会话（session expiry）",
                "allow persistent sessions (session expiry)",
            )
        )
    if not facts.retain:
        found.append(
            Finding(
                Level.ATTENTION,
                "代理不保留消息：遗嘱只有当时在线的程序能收到",
                "the broker retains nothing: a will reaches only who is there at that moment",
                "打开保留消息",
                "allow retained messages",
            )
        )
    return found


def _encryption(url: str, days: float | None) -> Finding:
    parts = urlsplit(url)
    if parts.scheme == "mqtts":
        if days is not None and days < CERTIFICATE_DAYS:
            return Finding(
                Level.BAD if days <= 0 else Level.ATTENTION,
                f"与代理的连接已加密，证书还有 {days:.0f} 天到期",
                f"the way to the broker is encrypted, its certificate ends in {days:.0f} days",
                "换发证书（command-center broker-certificates）",
                "make it anew (command-center broker-certificates)",
            )
        return Finding(
            Level.GOOD, "与代理的连接已加密，证书有效", "the way to the broker is encrypted, its certificate holds"
        )
    if _is_loopback(parts.hostname or ""):
        return Finding(
            Level.GOOD, "代理在本机，连接不出本机", "the broker is on this machine: nothing passes a network"
        )
    return Finding(
        Level.ATTENTION,
        "到代理的连接没有加密，口令和读数在网络上可见",
        "the way to the broker is not encrypted: passwords and readings can be read on the network",
        "使用 mqtts://…?ca=文件",
        "use mqtts://…?ca=FILE",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def judge_saving(configuration: str | None, version: str | None) -> list[Finding]:
    """Whether the broker keeps what it acknowledged: no client can see that, a configuration says it (None: none at hand)."""
    if configuration is None:
        if version is not None and "mosquitto" in version.lower():
            todo = ("用 --broker-config 指出 mosquitto.conf", "name mosquitto.conf by --broker-config")
        else:
            todo = ("按 docs/operate.md 核对 RabbitMQ 或 NATS 的持久设置", "see docs/operate.md on RabbitMQ and NATS")
        return [
            Finding(
                Level.ATTENTION,
                "代理确认后是否已落盘：从连接上无法得知",
                "whether the broker has stored what it acknowledges cannot be seen from a connection",
                *todo,
            )
        ]
    said = _said(configuration)
    return [_saves(said), *_admits(said), _inflight(said)]


def _said(configuration: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in configuration.splitlines():
        name, _, value = line.strip().partition(" ")
        if name and not name.startswith("#"):
            found.setdefault(name, []).append(value.strip())
    return found


def _last(said: Mapping[str, Sequence[str]], name: str, default: str) -> str:
    return said[name][-1] if name in said else default


def _number(said: Mapping[str, Sequence[str]], name: str, default: int) -> int:
    text = _last(said, name, str(default))
    return int(text) if text.isascii() and text.isdigit() else default


def _saves(said: Mapping[str, Sequence[str]]) -> Finding:
    todo = (
        f"persistence true、autosave_on_changes true、autosave_interval 不大于 {SAVED_AFTER_MOST}（见 deploy/mosquitto.conf）",
        f"persistence true, autosave_on_changes true, autosave_interval {SAVED_AFTER_MOST} or less (see deploy/mosquitto.conf)",
    )
    if _last(said, "persistence", "false") != "true":
        return Finding(
            Level.BAD,
            "代理不落盘：一重启，已确认的消息全部丢失",
            "the broker stores nothing: a restart loses all that it acknowledged",
            *todo,
        )
    interval = _number(said, "autosave_interval", 1800)
    if _last(said, "autosave_on_changes", "false") != "true":
        return Finding(
            Level.BAD,
            f"代理每 {interval} 秒才落盘一次：异常终止会丢失其间已确认的消息",
            f"the broker saves every {interval} s only: a sudden end loses what it acknowledged since",
            *todo,
        )
    if interval == 0 or interval > SAVED_AFTER_MOST:
        return Finding(
            Level.BAD,
            f"代理每 {interval} 次变化才落盘" if interval else "代理只在退出时落盘",
            f"the broker saves after {interval} changes" if interval else "the broker saves at its end only",
            *todo,
        )
    return Finding(
        Level.GOOD,
        f"代理按变化落盘：异常终止最多丢失最近 {interval} 次变化，要确定的设备请求回执",
        f"the broker saves on change: a sudden end costs at most the last {interval}; who must be certain asks for a receipt",
    )


def _admits(said: Mapping[str, Sequence[str]]) -> list[Finding]:
    found = []
    if _last(said, "allow_anonymous", "false") == "true" or "password_file" not in said:
        found.append(
            Finding(
                Level.BAD,
                "代理允许匿名登录，或没有口令文件",
                "the broker lets anybody in, or has no password file",
                "allow_anonymous false 并设置 password_file",
                "allow_anonymous false, and a password_file",
            )
        )
    if "acl_file" not in said:
        found.append(
            Finding(
                Level.BAD,
                "代理没有主题权限：任何设备都能冒充别的设备",
                "the broker has no topic rights: any device can speak as another",
                "设置 acl_file（command-center sensors provision 会写好）",
                "set acl_file (command-center sensors provision writes it)",
            )
        )
    if _number(said, "message_size_limit", 0):
        found.append(
            Finding(
                Level.ATTENTION,
                "代理会确认后丢弃过大的消息（message_size_limit）",
                "the broker acknowledges what is too large and drops it (message_size_limit)",
                "去掉 message_size_limit，过大的消息由 worker 留在隔离区",
                "take message_size_limit away: the worker keeps what is too large in quarantine",
            )
        )
    if not 0 < _number(said, "max_packet_size", 0) <= LARGEST_PACKET:
        found.append(
            Finding(
                Level.ATTENTION,
                "代理不限制报文大小",
                "the broker does not limit the size of packets",
                f"max_packet_size {LARGEST_PACKET}",
                f"max_packet_size {LARGEST_PACKET}",
            )
        )
    if not found:
        found.append(
            Finding(
                Level.GOOD,
                "代理要求登录、限定主题、限制消息大小",
                "the broker asks for a login and limits topics and sizes",
            )
        )
    return found


def _inflight(said: Mapping[str, Sequence[str]]) -> Finding:
    inflight, queued = _number(said, "max_inflight_messages", 20), _number(said, "max_queued_messages", 1000)
    if 0 < inflight < INFLIGHT_LEAST or 0 < queued < 100_000:
        return Finding(
            Level.ATTENTION,
            f"同时在途 {inflight} 条、最多排队 {queued} 条：worker 离开或突发时会丢消息或变慢",
            f"{inflight} messages under way, {queued} queued at most: slow in a burst, lost beyond while the worker is away",
            "max_inflight_messages 2000、max_queued_messages 10000000，以 max_queued_bytes 限内存",
            "max_inflight_messages 2000, max_queued_messages 10000000, memory bounded by max_queued_bytes",
        )
    return Finding(
        Level.GOOD,
        f"同时在途 {inflight or '不限'}、最多排队 {queued or '不限'}",
        f"{inflight or 'unlimited'} messages under way, {queued or 'unlimited'} queued at most",
    )
