"""``/api/v1/rules``: the rules in force, and versions of them: drafts, what they change, shadow runs, publication."""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from typing import Any, Final, Literal

import msgspec
from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field
from sqlalchemy import Connection, func, select

from command_center.api.asking import account, now, server, sight, today
from command_center.api.standing import known_quantities, packed_rules, rules_in_force
from command_center.idempotency import earlier_answer, keep_answer
from command_center.rule_move import Editor, RuleWish, make_rule_move, require_city, save_draft
from command_center.shown import shown_alert
from rules import shadow_store
from rules import store as alert_store
from rules.life import Standing
from rules.rule import Rule
from rules.rule_text import differences, written
from rules.rulebook import BadRule, read_one
from rules.version import (
    InForce,
    Move,
    NoSuchRule,
    RuleStep,
    RuleVersion,
    State,
    in_shadow,
    offers,
    read_draft,
    read_version,
)
from rules.version_store import load_steps, load_versions

blueprint = APIBlueprint("rules", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="rules")])

_LONGEST_TEXT: Final = 65_536
_ALERTS_SHOWN: Final = 500
_OPEN: Final = (State.DRAFT, State.SHADOW, State.PUBLISHED)


class RulePath(BaseModel):
    """One rule."""

    id: str = Field(max_length=64)


class VersionPath(RulePath):
    """One version of a rule."""

    n: int = Field(ge=1, le=1_000_000)


class TextBody(BaseModel):
    """A rule as YAML: one mapping, with the fields that a rule has in a pack."""

    text: str = Field(max_length=_LONGEST_TEXT)


class DraftBody(TextBody):
    """A rule to keep as a draft, and why it was written."""

    note: str = Field(min_length=1, max_length=2000)


class RuleMoveBody(BaseModel):
    """A move of a version. ``version`` is the revision of it that was being looked at."""

    move: Literal["shadow", "publish", "withdraw", "retire"]
    reason: str | None = Field(None, max_length=2000)
    version: int | None = Field(None, description="`revision` as last seen; 409 when it is another one by now")


class WriteHeader(BaseModel):
    """``Idempotency-Key`` makes a repeat harmless."""

    idempotency_key: str | None = Field(None, alias="Idempotency-Key", max_length=128)


@blueprint.get("/rules", summary="The rules in force")
def list_rules() -> dict[str, Any]:
    """Every rule with its numbers and their sources, what is being written, and what was refused with line and reason."""
    with sight() as connection:
        standing = rules_in_force(connection)
        versions = load_versions(connection, states=_OPEN)
        alerts = alert_store.alerts
        open_alerts = select(alerts.c.rule, func.count()).where(alerts.c.ended_at.is_(None)).group_by(alerts.c.rule)
        firing = {row[0]: row[1] for row in connection.execute(open_alerts)}
        refused = [*standing.book.refusals, *in_shadow(standing.packed, versions, known_quantities()).refusals]
    pending = [v for v in versions if v.state is not State.PUBLISHED or v.waits(today())]
    return {
        "items": [_listed(rule, standing) | {"open_alerts": firing.get(rule.id, 0)} for rule in standing.book.rules],
        "next": None,
        "refused": [{"file": r.file, "line": r.line, "reason": r.reason} for r in dict.fromkeys(refused)],
        "pending": [_headed(version) for version in pending],
        "retired": [_headed(v) for name, v in sorted(standing.edited.items()) if standing.rule(name) is None],
        "quantities": {
            q.name: {"title": q.title, "title_en": q.title_en, "unit": q.unit}
            for q in server().catalogue.quantities.values()
        },
    }


@blueprint.get("/rules/<string:id>", summary="One rule with its versions and its history")
def get_rule(path: RulePath) -> dict[str, Any]:
    """What is in force, what the packs say, every version that somebody wrote (newest first), and each step of theirs."""
    with sight() as connection:
        standing = rules_in_force(connection)
        versions = load_versions(connection, rule=path.id)
        steps = load_steps(connection, path.id)
    rule = standing.rule(path.id)
    packed = next((found for found in standing.packed.rules if found.id == path.id), None)
    if packed is None and not versions:
        raise NoSuchRule(f"there is no rule {path.id}")
    edited = standing.edited.get(path.id)
    return {
        "id": path.id,
        "in_force": None if rule is None else _listed(rule, standing),
        "text": None if rule is None else written(rule) if edited is None else edited.text,
        "packed": None if packed is None else {"rule": msgspec.to_builtins(packed), "text": written(packed)},
        "versions": [_shown(version, standing) for version in reversed(versions)],
        "steps": [_shown_step(step) for step in steps],
    }


@blueprint.post("/rules/check", summary="Whether a rule can be taken")
def check_rule(body: TextBody) -> dict[str, Any]:
    """Stores nothing."""
    require_city(account())
    with sight() as connection:
        standing = rules_in_force(connection)
    try:
        rule = read_draft(body.text, standing, known_quantities())
    except BadRule as problem:
        return {"ok": False, "rule": None, "problems": [{"line": problem.line, "reason": problem.reason}]}
    return {"ok": True, "rule": msgspec.to_builtins(rule), "problems": []}


@blueprint.post("/rules", summary="Write a version of a rule")
def post_rule(body: DraftBody, header: WriteHeader) -> tuple[Response, int]:
    """Kept as a draft. 422 with line and reason when it is no good rule."""
    who = account()
    require_city(who)
    request = _digest("draft", body)
    with sight() as connection:
        if (earlier := _earlier(connection, header, request)) is not None:
            return jsonify(earlier), 201
        version = save_draft(connection, _editor(), body.text, body.note)
        answer = _shown(version, rules_in_force(connection))
        _keep(connection, header, request, 201, answer)
    return jsonify(answer), 201


@blueprint.get("/rules/<string:id>/versions/<int:n>", summary="One version of a rule")
def get_version(path: VersionPath) -> dict[str, Any]:
    """As written, with the rule that it is."""
    with sight() as connection:
        standing = rules_in_force(connection)
        version = _version(connection, path)
    return _shown(version, standing) | {"fields": _fields(version, standing)}


@blueprint.get("/rules/<string:id>/versions/<int:n>/diff", summary="What a version changes")
def get_difference(path: VersionPath) -> dict[str, Any]:
    """Field by field against what is in force; null stands for a field or a rule that is not there."""
    with sight() as connection:
        standing = rules_in_force(connection)
        version = _version(connection, path)
    before = standing.rule(path.id)
    after = None if version.retired else read_version(version, standing.packed, known_quantities())
    return {
        "rule": path.id,
        "version": path.n,
        "against": standing.version(path.id),
        "items": differences(before, after),
        "next": None,
    }


@blueprint.post("/rules/<string:id>/versions/<int:n>/moves", summary="Move a version of a rule")
def post_rule_move(path: VersionPath, body: RuleMoveBody, header: WriteHeader) -> Response:
    """shadow: evaluate it, alert nobody. publish: put it in force; needs another account than its author. withdraw: give it
    up. retire: draft the end of the rule whose version is in force. 409 when somebody was faster.
    """
    request = _digest(f"{path.id}/{path.n}", body)
    wish = RuleWish(Move(body.move), body.reason, body.version)
    with sight() as connection:
        if (earlier := _earlier(connection, header, request)) is not None:
            return jsonify(earlier)
        version = make_rule_move(connection, _editor(), path.id, path.n, wish)
        answer = _shown(version, rules_in_force(connection))
        _keep(connection, header, request, 200, answer)
    return jsonify(answer)


@blueprint.get("/rules/<string:id>/versions/<int:n>/shadow", summary="What a shadow run would have alerted")
def get_shadow(path: VersionPath) -> dict[str, Any]:
    """As far as the account sees: the version's alerts beside those of the rule in force in the same time. The newest 500 of
    each are listed, all are counted.
    """
    zone = server().settings.time_zone
    with sight() as connection:
        version = _version(connection, path)
        since, until = version.shadow_from, version.shadow_to or now()
        if since is None:
            raise NoSuchRule(f"version {path.n} of rule {path.id} was never run in the shadow")
        shadow = shadow_store.load_shadow(connection, path.id, path.n, _ALERTS_SHOWN)
        table = alert_store.alerts
        meanwhile = shadow_store.meanwhile(table, path.id, since, until)
        rows = connection.execute(
            table.select().where(meanwhile).order_by(table.c.raised_at.desc()).limit(_ALERTS_SHOWN)
        )
        real = [alert_store.standing_of(row) for row in rows]
        of_shadow = shadow_store.tally(
            connection, shadow_store.shadow_alerts, shadow_store.shadow_of(path.id, path.n), zone
        )
        of_real = shadow_store.tally(connection, table, meanwhile, zone)
    return {
        "rule": path.id,
        "version": path.n,
        "since": since.isoformat(),
        "until": _text(version.shadow_to),
        "shadow": of_shadow | {"alerts": [shown_alert(Standing(alert)) for alert in shadow]},
        "in_force": of_real | {"alerts": [shown_alert(standing) for standing in real]},
    }


def _editor() -> Editor:
    return Editor(account(), now(), today(), packed_rules(), known_quantities())


def _version(connection: Connection, path: VersionPath) -> RuleVersion:
    found = next((v for v in load_versions(connection, rule=path.id) if v.n == path.n), None)
    if found is None:
        raise NoSuchRule(f"there is no version {path.n} of rule {path.id} that somebody wrote")
    return found


def _listed(rule: Rule, standing: InForce) -> dict[str, Any]:
    origin = "edited" if rule.id in standing.edited else "pack"
    found: dict[str, Any] = msgspec.to_builtins(rule)
    return found | {"origin": origin, "state": "in_force"}


def _headed(version: RuleVersion) -> dict[str, Any]:
    """A version without its text."""
    return {
        "rule": version.rule,
        "version": version.n,
        "revision": version.revision,
        "state": str(version.state),
        "retires": version.retired,
        "author": version.author,
        "author_name": version.author_name,
        "made_at": version.made_at.isoformat(),
        "note": version.note,
        "based_on": version.based_on,
        "effective_from": _text(version.effective_from),
        "effective_to": _text(version.effective_to),
        "shadow_from": _text(version.shadow_from),
        "shadow_to": _text(version.shadow_to),
        "published_by": version.published_by,
        "published_at": _text(version.published_at),
        "starts_on": _text(version.starts_on),
    }


def _shown(version: RuleVersion, standing: InForce) -> dict[str, Any]:
    """A version with what the asking account may do with it: ``moves``, each with the reason why not (null: it may)."""
    who = account()
    number = standing.version(version.rule)
    moves = offers(version, who.username, today(), number) if who.tier == "city" else {}
    return _headed(version) | {
        "text": version.text,
        "in_force": version.state is State.PUBLISHED and version.n == number,
        "waits": version.waits(today()),
        "moves": [{"move": str(move), "refused": refused} for move, refused in moves.items()],
    }


def _fields(version: RuleVersion, standing: InForce) -> dict[str, Any] | None:
    try:
        rule = read_one(version.text, known_quantities(), standing.packed.areas)
    except BadRule:
        return None
    found: dict[str, Any] = msgspec.to_builtins(rule)
    return found


def _shown_step(step: RuleStep) -> dict[str, Any]:
    return {
        "version": step.version,
        "revision": step.revision,
        "move": str(step.move),
        "at": step.at.isoformat(),
        "by": {"account": step.by, "name": step.by_name},
        "state": str(step.state),
        "reason": step.reason,
    }


def _digest(what: str, body: BaseModel) -> str:
    return hashlib.sha256(f"rule {what} {body.model_dump_json()}".encode()).hexdigest()


def _earlier(connection: Connection, header: WriteHeader, request: str) -> dict[str, Any] | None:
    key = header.idempotency_key
    found = None if key is None else earlier_answer(connection, account().username, key, request)
    return None if found is None else found[1]


def _keep(connection: Connection, header: WriteHeader, request: str, status: int, answer: dict[str, Any]) -> None:
    if header.idempotency_key is not None:
        keep_answer(connection, account().username, header.idempotency_key, request, status, answer, now())


def _text(at: date | datetime | None) -> str | None:
    return None if at is None else at.isoformat()
