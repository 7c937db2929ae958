"""Stored passwords."""

from __future__ import annotations

import pytest

from command_center.account.password import digest, matches


def test_a_password_fits_its_own_stored_form_and_no_other() -> None:
    stored = digest("right")
    assert matches(stored, "right")
    assert not matches(stored, "wrong")
    assert not matches(stored, "")


def test_two_stored_forms_of_one_password_differ_and_name_their_algorithm() -> None:
    first, second = digest("same"), digest("same")
    assert first != second
    assert first.startswith("$argon2id$")


@pytest.mark.parametrize("password", ["no account has this password", ""])
def test_no_password_fits_an_account_that_does_not_exist(password: str) -> None:
    assert not matches(None, password)


def test_a_stored_form_that_is_none_lets_nobody_in() -> None:
    assert not matches("plain", "plain")
    assert not matches("", "")
