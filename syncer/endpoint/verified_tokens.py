"""Which accounts' tokens are known to be theirs: a record of a list of names does not say whose it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from syncer.config.accounts import Account


class VerifiedTokens:
    """Remembers with which token, at which address, a poll of this process has received an account's numbers."""

    def __init__(self) -> None:
        self._by_account: dict[int, Account] = {}

    def __bool__(self) -> bool:
        """Whether the token of any account is verified."""
        return bool(self._by_account)

    def add(self, account_id: int, account: Account) -> None:
        """Remembers that a poll received numbers of this account."""
        self._by_account[account_id] = account

    def remove(self, account_id: int) -> None:
        """Forgets an account: a poll received numbers of another one."""
        self._by_account.pop(account_id, None)

    def has(self, account_id: int, account: Account) -> bool:
        """Whether the account's present token, at its present address, is verified."""
        verified = self._by_account.get(account_id)
        return verified is not None and (verified is account or _access(verified) == _access(account))

    def keep_only(self, account_ids: Collection[int]) -> None:
        """Forgets all accounts but these."""
        for account_id in self._by_account.keys() - set(account_ids):
            del self._by_account[account_id]


def _access(account: Account) -> tuple[object, ...]:
    return account.token, account.api_url, account.auth_scheme
