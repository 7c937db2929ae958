"""The next six hours of a sensor, from its last 28 days: hourly means in, a value with an interval for each hour out.

Five simple ways of looking ahead and one that learns (``WAYS``): a robust ridge regression of the coming change on the trend
of the last hours, on what the hour of the week and the hour of the day usually bring, on the distance from the usual, and on
what two linear reservoirs hold of past rain where a gauge stands beside. They are blended by how well each did of late at
that horizon (a power of the inverse mean error; Timmermann, Forecast combinations, Handbook of Economic Forecasting 1, 2006).
All is learnt for each day of the history from the days before it alone, so the errors by which ways are weighed and intervals
drawn are those of forecasts. An interval holds ``COVERAGE`` of the blend's errors of the last ``_RECENT`` hours (split
conformal prediction in a moving window; Vovk et al., Algorithmic learning in a random world, 2005).

One configuration serves all series, nothing depends on the unit, and nothing is remembered between two forecasts: the history
is all there is. Hours are counted back from the moment of asking, so the last one is whole. Rain to come is taken for none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, floor
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]
_Pair = tuple[Numbers, Numbers]
Way = Literal["persistence", "trend", "change", "return", "usual", "learnt"]

HORIZONS: Final = 6
DAY: Final = 24
WEEK: Final = 168
DAYS: Final = 28
HISTORY: Final = DAYS * DAY
LEAST: Final = 48
"""Hours with readings, below which nothing is said."""
CARRIED: Final = 3
"""Hours for which a silent sensor's last value stands in."""
COVERAGE: Final = 0.9
WAYS: Final[tuple[Way, ...]] = ("persistence", "trend", "change", "return", "usual", "learnt")

_H: Final = np.arange(1, HORIZONS + 1)
_DAMPED: Final = 0.8  # of a trend is left an hour later
_APART: Final = 0.9  # of the distance from the usual is left an hour later
_FADING: Final = 0.5 ** (1 / 7)  # of a day's weight is left a day later
_RIDGE: Final = 10.0
_POWER: Final = 10
_RECENT: Final = 14 * DAY
_RESERVOIRS: Final = (0.7, 0.95)  # of the water is left an hour later
_NARROW: Final = 0.3  # of the mean error: errors below it count as this in the robust weights
_MOST_WEIGHT: Final = 3.0
_CRUMB: Final = 1e-12

_WORDS: Final[dict[Way, tuple[str, str]]] = {
    "persistence": ("维持现值", "it stays as it is"),
    "trend": ("延续近一小时趋势并逐渐减弱", "the trend of the last hour goes on and fades"),
    "change": ("随本时段的常见变化", "it moves as it usually does at these hours"),
    "return": ("随本时段的常见变化并回归常态", "it moves as it usually does at these hours and returns to the usual"),
    "usual": ("与每周同一时段的常态相同", "it is what it usually is at that hour of the week"),
    "learnt": ("按该测点近 28 天的规律，主要依据{}", "as learnt from its last 28 days, mostly from {}"),
}
_DRIVES: Final = (
    ("近几小时的趋势", "the trend of the last hours"),
    ("同一时段的常见变化", "what these hours usually bring"),
    ("与常态的偏离", "the distance from the usual"),
    ("前期降雨", "the rain so far"),
)
_DRIVE_OF: Final = np.array([0, 0, 1, 1, 2, 2, 2, 3, 3])  # by column of the regression


@dataclass(frozen=True, slots=True)
class Ahead:
    """Of each sensor and horizon [sensor, horizon]: ``value``, ``low`` and ``high``, the ``share`` of each way [.., way], and
    which of ``_DRIVES`` moves the learnt way most. ``hindcast`` [sensor, horizon, hour]: what was to be said at each hour of
    the history with what was known then.
    """

    value: Numbers
    low: Numbers
    high: Numbers
    share: Numbers
    drive: Numbers
    hindcast: Numbers


@dataclass(frozen=True, slots=True)
class Forecast:
    """The mean of the hour that ends at ``at``. ``leading`` is the way that counts most, ``share`` how much (0 to 1)."""

    at: datetime
    horizon_h: int
    value: float
    low: float
    high: float
    leading: Way
    share: float
    zh: str
    en: str


def ahead(history: Numbers, rain: Numbers | None = None) -> Ahead:
    """Look ahead from the end of each history [sensor, hour] of hourly means, NaN where there is none, the last hour last.

    ``rain`` is of the same shape, in any unit, NaN counted as dry. Of longer histories the last ``HISTORY`` hours count.
    """
    values = _last_hours(history)
    held = carried(values)
    fallen = np.zeros_like(values) if rain is None else np.nan_to_num(_last_hours(rain))
    usual, changes = _usual(values), _changes(values)
    columns = _columns(held, usual, changes, fallen)
    simple = _simple(held, usual[0], changes)
    target = _target(values, held)
    known = ~np.isnan(target)
    truth = np.where(known, target, 0.0)
    slopes = _learnt(columns, truth, known)
    day_of = np.append(np.arange(HISTORY - 1) // DAY, DAYS)  # the last hour knows all
    learnt = (columns * slopes[:, :, day_of]).sum(-1)
    ways = np.concatenate([simple, learnt[..., None]], axis=-1)
    share = _shares(np.abs(truth[..., None] - ways), known)
    blend = (ways * share[:, :, day_of]).sum(-1)
    low, high = _margins(np.where(known, target - blend, np.nan))
    hindcast = held[:, None] + blend
    value = hindcast[:, :, -1]
    return Ahead(value, value + low, value + high, share[:, :, -1], _drive(columns, slopes), hindcast)


def known_hours(history: Numbers) -> int:
    """Hours of a history that have readings."""
    return int((~np.isnan(history[-HISTORY:])).sum())


def is_silent(history: Numbers) -> bool:
    """Whether a history's last value lies too far back to go by."""
    return bool(np.isnan(history[-CARRIED - 1 :]).all())


def forecasts(
    found: Ahead, row: int, now: datetime, least: float = -np.inf, most: float = np.inf
) -> tuple[Forecast, ...]:
    """What lies ahead of one sensor, held to what its quantity can be."""
    said = []
    for place, hours in enumerate(_H.tolist()):
        value, low, high = (float(np.clip(of[row, place], least, most)) for of in (found.value, found.low, found.high))
        share = found.share[row, place]
        way = WAYS[int(share.argmax())]
        drive = _DRIVES[int(found.drive[row, place])]
        zh, en = (words.format(part) for words, part in zip(_WORDS[way], drive, strict=True))
        at = now + timedelta(hours=hours)
        low, high = min(low, value), max(high, value)
        said.append(Forecast(at, hours, value, low, high, way, float(share.max()), zh, en))
    return tuple(said)


def climatology(values: Numbers) -> Numbers:
    """The mean of all earlier hours of the same hour of the week [sensor, hour + HORIZONS], else of those of the same hour of
    the day, else of all six hours before it and more.
    """
    week, day = (same_hour(values, every, values.shape[-1] // every + 1) for every in (WEEK, DAY))
    mean = np.full(week.shape, np.nan)
    mean[:, HORIZONS:] = _running_mean(values, values.shape[-1])
    return np.where(np.isnan(week), np.where(np.isnan(day), mean, day), week)


def same_hour(values: Numbers, every: int, times: int) -> Numbers:
    """Mean of the values ``every`` hours before, twice that, … ``times`` times [sensor, hour + HORIZONS]; NaN where none."""
    longer = values.shape[-1] + HORIZONS
    total, n = np.zeros((len(values), longer)), np.zeros((len(values), longer))
    for back in range(every, min(every * times, longer - 1) + 1, every):
        earlier = values[:, : longer - back]
        total[:, back:] += np.nan_to_num(earlier)
        n[:, back:] += ~np.isnan(earlier)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def carried(values: Numbers) -> Numbers:
    """The values, where there is none the last one, at most ``CARRIED`` hours on."""
    place = np.arange(values.shape[-1])
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, place), axis=-1)
    found = np.take_along_axis(values, np.maximum(last, 0), axis=-1)
    return np.where((last >= 0) & (place - last <= CARRIED), found, np.nan)


def _last_hours(history: Numbers) -> Numbers:
    found = np.full((len(history), HISTORY), np.nan)
    kept = np.asarray(history, "f8")[:, -HISTORY:]
    found[:, HISTORY - kept.shape[1] :] = kept
    return found


def _running_mean(values: Numbers, hours: int) -> Numbers:
    """Mean of the last ``hours`` hours at each hour; NaN where none has a value."""
    sums = np.cumsum(np.stack([np.nan_to_num(values), ~np.isnan(values)]), axis=-1)
    sums[..., hours:] -= sums[..., :-hours].copy()
    total, n = sums
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def _usual(values: Numbers) -> _Pair:
    """What is usual by hour of the week (of the day where no week is known), and by hour of the day."""
    week, day = same_hour(values, WEEK, DAYS), same_hour(values, DAY, 7)
    return np.where(np.isnan(week), day, week), day


def _at_horizons(longer: Numbers) -> Numbers:
    """[sensor, hour + HORIZONS] as [sensor, horizon, hour]."""
    return np.stack([longer[:, hours : hours + HISTORY] for hours in _H.tolist()], axis=1)


def _changes(values: Numbers) -> _Pair:
    """What the coming hours brought in earlier weeks (on earlier days where no week is known), and on the last seven days."""
    day, week = _earlier_change(values, DAY, 7), _earlier_change(values, WEEK, DAYS * DAY // WEEK)
    return np.nan_to_num(np.where(np.isnan(week), day, week)), np.nan_to_num(day)


def _earlier_change(values: Numbers, every: int, times: int) -> Numbers:
    """Mean change to each horizon [sensor, horizon, hour] as it was ``every`` hours before, twice that, …; NaN where none.

    Both ends of a change are of one day: means of different days would show their difference as a change.
    """
    total, n = np.zeros((2, len(values), HORIZONS, HISTORY))
    for back in range(every, min(every * times, HISTORY - 1) + 1, every):
        for place, hours in enumerate(_H.tolist()):
            change = values[:, hours : HISTORY - back + hours] - values[:, : HISTORY - back]
            total[:, place, back:] += np.nan_to_num(change)
            n[:, place, back:] += ~np.isnan(change)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def _since(held: Numbers, hours: int) -> Numbers:
    """The change of the last hours, 0 where it is not known."""
    found = np.zeros_like(held)
    found[:, hours:] = np.nan_to_num(held[:, hours:] - held[:, :-hours])
    return found


def _columns(held: Numbers, usual: _Pair, changes: _Pair, rain: Numbers) -> Numbers:
    """What the learnt way goes by [sensor, horizon, hour, column]."""
    alike = [
        _since(held, 1),
        _since(held, 3),
        *(np.nan_to_num(base - held) for base in (*(one[:, :HISTORY] for one in usual), _running_mean(held, DAY))),
        *(_reservoir(rain, left) for left in _RESERVOIRS),
    ]
    every = [np.broadcast_to(one[:, None], (len(held), HORIZONS, HISTORY)) for one in alike]
    return np.stack([*every[:2], *changes, *every[2:]], axis=-1)


def _reservoir(rain: Numbers, left: float) -> Numbers:
    """What a linear reservoir holds that rain fills."""
    if not rain.any():
        return rain
    found = np.empty_like(rain)
    water = np.zeros(len(rain))
    for hour in range(rain.shape[-1]):
        water = left * water + rain[:, hour]
        found[:, hour] = water
    return found


def _simple(held: Numbers, week: Numbers, changes: _Pair) -> Numbers:
    """The change that each simple way expects [sensor, horizon, hour, way]."""
    change = sum(changes) / 2
    away = np.nan_to_num(week[:, :HISTORY] - held)[:, None]
    trend = _since(held, 1)[:, None] * np.cumsum(_DAMPED**_H)[:, None]
    back = change + away * (1 - _APART**_H)[:, None]
    usual = np.nan_to_num(_at_horizons(week) - held[:, None])
    return np.stack([np.zeros_like(change), trend, change, back, usual], axis=-1)


def _target(values: Numbers, held: Numbers) -> Numbers:
    """The change that came [sensor, horizon, hour]; NaN where it is not known, or not yet."""
    found = np.full((len(values), HORIZONS, HISTORY), np.nan)
    for place, hours in enumerate(_H.tolist()):
        found[:, place, :-hours] = values[:, hours:] - held[:, :-hours]
    return found


def _by_day(by_hour: Numbers) -> Numbers:
    """[sensor, horizon, hour, ...] by when it is known: [sensor, horizon, day, hour of the day, ...]."""
    found = np.zeros_like(by_hour)
    for place, hours in enumerate(_H.tolist()):
        found[:, place, hours:] = by_hour[:, place, :-hours]
    return found.reshape(*by_hour.shape[:2], DAYS, DAY, *by_hour.shape[3:])


_AGE: Final = np.arange(DAYS + 1)[:, None] - 1 - np.arange(DAYS)
_DAY_WEIGHT: Final = np.where(_AGE >= 0, _FADING ** np.maximum(_AGE, 0), 0.0)
"""What a day counts on the days after it, and at the end [day, earlier day]."""


def _before(by_day: Numbers) -> Numbers:
    """What is known at the beginning of each day, and at the end: earlier days' sums, the older the less."""
    return np.asarray(np.einsum("ij,shj...->shi...", _DAY_WEIGHT, by_day))


def _learnt(columns: Numbers, truth: Numbers, known: Numbers) -> Numbers:
    """Slopes of the regression on each day [sensor, horizon, day, column], and once more with far errors counted less."""
    counted = columns * known[..., None]
    by_day, result = _by_day(counted), _by_day(truth)
    n = np.maximum(_before(_by_day(known * 1.0).sum(3)), 1)
    scale = np.sqrt(_before((by_day**2).sum(3)) / n[..., None])
    slopes = _solved(by_day, by_day, result, scale)
    error = np.abs(result - (by_day * slopes[:, :, :DAYS, None]).sum(-1))
    usual = ((_before(error.sum(3)) / n)[:, :, :DAYS] + _CRUMB)[..., None]
    weight = np.minimum(usual / np.maximum(error, _NARROW * usual), _MOST_WEIGHT)
    return _solved(by_day, by_day * weight[..., None], result, scale)


def _solved(by_day: Numbers, weighed: Numbers, result: Numbers, scale: Numbers) -> Numbers:
    products = _before(np.swapaxes(weighed, -1, -2) @ by_day)
    answers = _before((weighed * result[..., None]).sum(3))
    moves = scale > _CRUMB
    unit = np.where(moves, scale, 1.0)
    squares = products / unit[..., :, None] / unit[..., None, :] + _RIDGE * np.eye(by_day.shape[-1])
    return np.asarray(np.linalg.solve(squares, (answers / unit)[..., None])[..., 0] / unit * moves)


def _shares(error: Numbers, known: Numbers) -> Numbers:
    """How much each way counts on each day [sensor, horizon, day, way]."""
    n = np.maximum(_before(_by_day(known * 1.0).sum(3)), 1)
    mean = _before(_by_day(error * known[..., None]).sum(3)) / n[..., None] + _CRUMB
    merit = (mean.min(-1, keepdims=True) / mean) ** _POWER
    return np.asarray(merit / merit.sum(-1, keepdims=True))


def _margins(error: Numbers) -> tuple[Numbers, Numbers]:
    """How far below and above the blend the truth lies, but for the rarest [sensor, horizon]; 0 while no error is known."""
    recent = np.sort(error[:, :, -_RECENT:], axis=-1)  # what is not known comes last
    n = (~np.isnan(recent)).sum(-1)
    tail = (1 - COVERAGE) / 2
    low = np.clip(np.floor((n + 1) * tail) - 1, 0, None).astype("i8")
    high = np.clip(np.ceil((n + 1) * (1 - tail)) - 1, 0, np.maximum(n - 1, 0)).astype("i8")
    below, above = (np.take_along_axis(recent, at[..., None], -1)[..., 0] for at in (low, high))
    return np.nan_to_num(below), np.nan_to_num(above)


def _drive(columns: Numbers, slopes: Numbers) -> Numbers:
    part = columns[:, :, -1] * slopes[:, :, -1]
    sums = np.stack([part[..., drive == _DRIVE_OF].sum(-1) for drive in range(len(_DRIVES))], axis=-1)
    return np.asarray(np.abs(sums).argmax(-1))


@dataclass(frozen=True, slots=True)
class Exceedance:
    """Whether and when a threshold is reached within the forecast.

    ``probability``: that the likeliest hour reaches it, so at least this much. ``in_s``: seconds from now when the forecast
    reaches it; ``earliest_s`` and ``latest_s`` when the edges of its interval do; None where they do not.
    """

    threshold: float
    probability: float
    in_s: float | None
    earliest_s: float | None
    latest_s: float | None
    zh: str
    en: str


def exceedance(
    said: tuple[Forecast, ...], now_value: float, threshold: float, unit: str = "", *, above: bool = True
) -> Exceedance:
    """When the threshold is reached, upwards or (not ``above``) downwards, from the value of now on."""
    sign = 1.0 if above else -1.0
    near, far = ("high", "low") if above else ("low", "high")
    in_s, earliest, latest = (
        _reached([sign * now_value, *(sign * float(getattr(one, edge)) for one in said)], sign * threshold)
        for edge in ("value", near, far)
    )
    most = max(_probability(one, threshold, above=above) for one in said)
    probability = 1.0 if in_s == 0 else most
    written = f"{threshold:g} {unit}".strip()
    zh, en = _when(written, in_s, earliest, latest, probability, len(said))
    return Exceedance(threshold, probability, in_s, earliest, latest, zh, en)


def _reached(path: list[float], threshold: float) -> float | None:
    """Seconds until a path first reaches the threshold. Its first point is now, the others the middles of the hours."""
    if path[0] >= threshold:
        return 0.0
    before_s, before = 0.0, path[0]
    for place, value in enumerate(path[1:]):
        at_s = (place + 0.5) * 3600
        if value >= threshold:
            return before_s + (at_s - before_s) * (threshold - before) / (value - before)
        before_s, before = at_s, value
    return None


def _probability(one: Forecast, threshold: float, *, above: bool) -> float:
    """By straight lines through the middle of the interval and its edges, falling to nothing as far again beyond them."""
    tail = (1 - COVERAGE) / 2
    edges = [2 * one.low - one.value, one.low, one.value, one.high, 2 * one.high - one.value]
    below = float(np.interp(threshold, edges, [0.0, tail, 0.5, 1 - tail, 1.0]))
    return 1 - below if above else below


def _when(
    written: str, in_s: float | None, earliest: float | None, latest: float | None, probability: float, hours: int
) -> tuple[str, str]:
    if in_s == 0:
        return f"已达到 {written}", f"{written} is reached already"
    percent = f"{probability:.0%}"
    if in_s is None:
        return (
            f"预计 {hours} 小时内不会达到 {written}（可能性约 {percent}）",
            f"{written} not expected within {hours} h (probability about {percent})",
        )
    (zh, en), (first_zh, first_en) = _span(in_s), _span(0.0 if earliest is None else earliest)
    last_zh, last_en = (f"{hours} 小时以后", f"after {hours} h") if latest is None else _span(latest)
    return (
        f"预计约 {zh}后达到 {written}（{first_zh}至{last_zh}）",
        f"{written} expected in about {en} ({first_en} to {last_en})",
    )


def _span(seconds: float) -> tuple[str, str]:
    """A length of time in steps of ten minutes."""
    minutes = max(10, floor(seconds / 600 + 0.5) * 10) if seconds < 5 * 3600 else ceil(seconds / 1800) * 30
    hours, rest = divmod(minutes, 60)
    zh = (f"{hours} 小时" if hours else "") + (f" {rest} 分钟" if rest else "")
    en = (f"{hours} h" if hours else "") + (f" {rest} min" if rest else "")
    return zh.strip(), en.strip()
