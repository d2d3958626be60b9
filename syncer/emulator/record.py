"""The vendor's record of one number, and the generator of plausible numbers and changes."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from syncer.emulator import vendor_values

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

Item = TypeVar("Item")

_EMPLOYEE_SHARE: Final = 0.25
_COMPANY_SHARE: Final = 0.6
_WITHOUT_DGN_SHARE: Final = 0.15
"""The share of numbers whose records look like the vendor's first example, without `dgn_number`."""
_WITH_BOTH_SHARE: Final = 0.15
"""The share of numbers whose records have both `redirect_number` and `dgn_number`, one of them null."""


class Redirect(msgspec.Struct, gc=False):
    """A number whose calls are redirected to the number that lists it."""

    id: int
    number: str


class Number(msgspec.Struct, kw_only=True):
    """A virtual number, its fields in the order of the vendor's first example.

    The vendor sends `redirect_number`, `dgn_number` or both: a field that is UNSET is omitted from the JSON.
    """

    number: str
    comment: str | None = None
    type: str
    purpose: str = "not_specified"
    scenario_id: int | None = None
    group_scenario_id: int | None = None
    group_id: int | None = None
    is_scenario_active: bool | None = None
    is_group_scenario_active: bool | None = None
    id: int
    state: str
    reason: str | None = None
    from_redirect_numbers: list[Redirect] | None = None
    employee_id: int | None = None
    redirect_number: str | msgspec.UnsetType | None = msgspec.UNSET
    region_name: str | None = None
    app_id: int
    nc_type: str = "custom"
    sip_uri: str | None = None
    dgn_number: str | msgspec.UnsetType | None = msgspec.UNSET


class NumberGenerator:
    """Generates the numbers of one account and their changes; all randomness comes from `random`."""

    _STRIDE: Final = 7_654_321  # coprime to 8 * 10**n, so that stepping by it visits every subscriber number once

    def __init__(self, random: Random, app_id: int) -> None:
        self._random = random
        self._app_id = app_id
        self._last_id = random.randrange(100, 300)
        self._subscribers: dict[str, int] = {}
        self._landlines: list[Redirect] = []  # of this account: redirects often come from one of these

    def number(self) -> Number:
        """Generates a number that this account never had."""
        kind = self._weighted(vendor_values.TYPES)
        region = self._random.choices(vendor_values.REGIONS, cum_weights=_REGION_WEIGHTS)[0]
        state = self._weighted(vendor_values.STATES)
        number = Number(
            number=self._phone_number(self._code(kind, region)),
            comment=self._comment() if self._chance(0.65) else None,
            type=kind,
            id=self._next_id(),
            state=state,
            reason=self._reason(state),
            region_name=None if kind == "toll_free" else region.name,
            app_id=self._app_id,
        )
        if kind == "sip_redirection":
            number.sip_uri = f"sip:{number.number}@pbx.example.com"
        if kind == "abc":
            self._landlines.append(Redirect(number.id, number.number))
        self._set_purpose(number)
        self._set_scenario(number)
        self._set_incoming_redirects(number, region)
        return number

    def change_state(self, number: Number) -> None:
        """Changes the state to a possible next one, with or without a reason."""
        following = dict(vendor_values.TRANSITIONS[number.state])
        number.state = self._weighted(following)
        number.reason = self._reason(number.state)

    def edit_comment(self, number: Number) -> None:
        """Changes the comment, or sometimes clears it."""
        previous = number.comment
        number.comment = None if previous and self._chance(0.1) else self._comment()
        while number.comment == previous:
            number.comment = self._comment()

    def change_redirects(self, number: Number) -> None:
        """Changes the redirects: removes one of several; replaces or removes a single one."""
        before = number.from_redirect_numbers or []
        if len(before) > 1:
            self._set_redirects(number, before[1:])
        elif before and self._chance(0.2):
            self._set_redirects(number, [])
        else:
            region = self._random.choice(vendor_values.REGIONS)
            self._set_redirects(number, [self._new_redirect(region)])

    def reassign(self, number: Number) -> None:
        """Assigns the number to another employee, or back to the company."""
        if number.employee_id is not None and self._chance(0.2):
            number.purpose, number.employee_id = vendor_values.LATIN_COMPANY, None
            return
        before = number.employee_id
        number.purpose, number.employee_id = "employee", self._random.randrange(1, 1000)
        if number.employee_id == before:
            number.employee_id += 1

    def _set_purpose(self, number: Number) -> None:
        """Sets the purpose and the employee."""
        draw = self._random.random()
        if draw < _EMPLOYEE_SHARE:
            number.purpose, number.employee_id = "employee", self._random.randrange(1, 1000)
            if number.type == "def" and self._chance(0.5):
                number.nc_type = "custom+fmc"
        elif draw < _EMPLOYEE_SHARE + _COMPANY_SHARE:
            number.purpose = vendor_values.CYRILLIC_COMPANY if self._chance(0.01) else vendor_values.LATIN_COMPANY

    def _set_scenario(self, number: Number) -> None:
        """Sets the scenarios of the number and of its group."""
        if self._chance(0.6):
            number.scenario_id, number.is_scenario_active = self._random.randrange(540, 800), self._chance(0.9)
        if self._chance(0.1):
            number.group_id = self._random.randrange(1, 30)
            number.group_scenario_id = number.group_id + 500
            number.is_group_scenario_active = self._chance(0.9)

    def _set_incoming_redirects(self, number: Number, region: vendor_values.Region) -> None:
        """Sets the redirects to this number; above all, mobile numbers get redirects from a landline."""
        draw = self._random.random()
        if draw < _WITHOUT_DGN_SHARE:
            number.redirect_number = None
        elif draw < _WITHOUT_DGN_SHARE + _WITH_BOTH_SHARE:
            number.redirect_number = number.dgn_number = None
        else:
            number.dgn_number = None
        redirects: dict[int, Redirect] = {}
        if self._chance(0.7 if number.type == "def" else 0.05):
            for _ in range(self._random.choices((1, 2, 3), (90, 8, 2))[0]):
                redirect = self._redirect(region)
                redirects[redirect.id] = redirect
        self._set_redirects(number, list(redirects.values()))
        if not redirects and self._chance(0.1):
            number.from_redirect_numbers = None

    def _set_redirects(self, number: Number, redirects: list[Redirect]) -> None:
        """Sets the redirects, and the field that repeats the number of the first one."""
        number.from_redirect_numbers = redirects
        first = redirects[0].number if redirects else None
        if number.dgn_number is msgspec.UNSET:
            number.redirect_number = first
        else:
            number.dgn_number = first

    def _redirect(self, region: vendor_values.Region) -> Redirect:
        if self._landlines and self._chance(0.4):
            return self._random.choice(self._landlines)
        return self._new_redirect(region)

    def _new_redirect(self, region: vendor_values.Region) -> Redirect:
        return Redirect(self._next_id(), self._phone_number(self._code("abc", region)))

    def _code(self, kind: str, region: vendor_values.Region) -> str:
        if kind == "toll_free":
            return "800"
        return self._random.choice(region.mobile_codes if kind == "def" else region.area_codes)

    def _phone_number(self, code: str) -> str:
        """Returns a new number with this code; the subscriber part starts with 2 to 9."""
        tens: int = 10 ** (9 - len(code))
        latest = self._subscribers[code] if code in self._subscribers else self._random.randrange(8 * tens)
        self._subscribers[code] = (latest + self._STRIDE) % (8 * tens)
        return f"7{code}{2 * tens + self._subscribers[code]}"

    def _next_id(self) -> int:
        self._last_id += self._random.choice((1, 1, 1, 2, 5))
        return self._last_id

    def _comment(self) -> str:
        """Returns a comment that an office manager might write."""
        office = self._random.choice(vendor_values.OFFICES)
        if self._chance(0.3):
            return office
        return f"{office} {self._random.choice(vendor_values.PLACES)}, доб. {self._random.randrange(100, 1000)}"

    def _reason(self, state: str) -> str | None:
        return self._random.choice(vendor_values.REASONS[state]) if state in vendor_values.REASONS else None

    def _weighted(self, weights: Mapping[Item, float]) -> Item:
        return self._random.choices(tuple(weights), tuple(weights.values()))[0]

    def _chance(self, share: float) -> bool:
        return self._random.random() < share


_REGION_WEIGHTS: Final = tuple(accumulate(region.weight for region in vendor_values.REGIONS))
