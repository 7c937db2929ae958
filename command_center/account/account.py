"""Who is asking, and for which part of the city."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from command_center.ticket.ticket import Actor


class BadCredentials(Exception):
    """The user name or the password is wrong."""


class NotLoggedIn(Exception):
    """There is no session, or it has ended."""


@dataclass(frozen=True, slots=True)
class Account:
    """A logged-in account with its grant: one region subtree. ``scope`` is the path that row-level security is given."""

    id: UUID
    username: str
    name: str
    tier: str
    region: str
    region_name: str
    scope: str

    @property
    def actor(self) -> Actor:
        return Actor(self.username, self.name, self.tier, self.scope)
