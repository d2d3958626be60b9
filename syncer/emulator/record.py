"""One number as the vendor's page shows it, how a believable one is made up, and how it changes."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from syncer.emulator import vendor_values

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

Word = TypeVar("Word")

_OF_EMPLOYEES: Final = 0.25
_OF_THE_COMPANY: Final = 0.6
_WITHOUT_DGN: Final = 0.15
"""The share of numbers that are told as in the vendor's first example, without `dgn_number`."""
_WITH_BOTH: Final = 0.15
"""The share of those that are told with `redirect_number` and `dgn_number`, one of them null."""


class Redirect(msgspec.Struct, gc=False):
    """A number whose calls come to the one that lists it."""

    id: int
    number: str


class Number(msgspec.Struct, kw_only=True):
    """A virtual number, its fields in the order of the vendor's first example.

    The vendor tells `redirect_number`, `dgn_number` or both: what is UNSET is not in the JSON at all.
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


class Maker:
    """Makes up the numbers of one account, and changes to them; every draw comes from the one `random`."""

    _STRIDE: Final = 7_654_321  # odd and no multiple of 5: stepping by it meets each of 8 * 10**n only once

    def __init__(self, random: Random, app_id: int) -> None:
        self._random = random
        self._app_id = app_id
        self._last_id = random.randrange(100, 300)
        self._subscribers: dict[str, int] = {}
        self._landlines: list[Redirect] = []  # listed ones: a redirect often comes from one of these

    def number(self) -> Number:
        """Make a number that this account never had."""
        kind = self._weighted(vendor_values.TYPES)
        region = self._random.choices(vendor_values.REGIONS, cum_weights=_REGION_WEIGHTS)[0]
        state = self._weighted(vendor_values.STATES)
        number = Number(
            number=self._phone_number(self._code(kind, region)),
            comment=self._comment() if self._happens(0.65) else None,
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
        self._assign(number)
        self._route(number)
        self._lead_here(number, region)
        return number

    def move_on(self, number: Number) -> None:
        """Change the state to one that may follow it, for a reason or none."""
        following = dict(vendor_values.TRANSITIONS[number.state])
        number.state = self._weighted(following)
        number.reason = self._reason(number.state)

    def edit_comment(self, number: Number) -> None:
        """Change the comment; now and then it is cleared."""
        before = number.comment
        number.comment = None if before and self._happens(0.1) else self._comment()
        while number.comment == before:
            number.comment = self._comment()

    def swap_redirects(self, number: Number) -> None:
        """Change the redirects: one goes if there are several, else another takes its place or the last one ends."""
        before = number.from_redirect_numbers or []
        if len(before) > 1:
            self._set_redirects(number, before[1:])
        elif before and self._happens(0.2):
            self._set_redirects(number, [])
        else:
            region = self._random.choice(vendor_values.REGIONS)
            self._set_redirects(number, [self._new_redirect(region)])

    def reassign(self, number: Number) -> None:
        """Give the number to another employee, or back to the company."""
        if number.employee_id is not None and self._happens(0.2):
            number.purpose, number.employee_id = vendor_values.LATIN_COMPANY, None
            return
        before = number.employee_id
        number.purpose, number.employee_id = "employee", self._random.randrange(1, 1000)
        if number.employee_id == before:
            number.employee_id += 1

    def _assign(self, number: Number) -> None:
        """Say whom the number is for."""
        share = self._random.random()
        if share < _OF_EMPLOYEES:
            number.purpose, number.employee_id = "employee", self._random.randrange(1, 1000)
            if number.type == "def" and self._happens(0.5):
                number.nc_type = "custom+fmc"
        elif share < _OF_EMPLOYEES + _OF_THE_COMPANY:
            number.purpose = vendor_values.CYRILLIC_COMPANY if self._happens(0.01) else vendor_values.LATIN_COMPANY

    def _route(self, number: Number) -> None:
        """Say which scenario answers the calls, the number's own or its group's."""
        if self._happens(0.6):
            number.scenario_id, number.is_scenario_active = self._random.randrange(540, 800), self._happens(0.9)
        if self._happens(0.1):
            number.group_id = self._random.randrange(1, 30)
            number.group_scenario_id = number.group_id + 500
            number.is_group_scenario_active = self._happens(0.9)

    def _lead_here(self, number: Number, region: vendor_values.Region) -> None:
        """Say which numbers are redirected here; it is above all mobile numbers that have a landline one."""
        form = self._random.random()
        if form < _WITHOUT_DGN:
            number.redirect_number = None
        elif form < _WITHOUT_DGN + _WITH_BOTH:
            number.redirect_number = number.dgn_number = None
        else:
            number.dgn_number = None
        redirects: dict[int, Redirect] = {}
        if self._happens(0.7 if number.type == "def" else 0.05):
            for _ in range(self._random.choices((1, 2, 3), (90, 8, 2))[0]):
                redirect = self._redirect(region)
                redirects[redirect.id] = redirect
        self._set_redirects(number, list(redirects.values()))
        if not redirects and self._happens(0.1):
            number.from_redirect_numbers = None

    def _set_redirects(self, number: Number, redirects: list[Redirect]) -> None:
        """Set the redirects and the field that repeats the first one's number."""
        number.from_redirect_numbers = redirects
        first = redirects[0].number if redirects else None
        if number.dgn_number is msgspec.UNSET:
            number.redirect_number = first
        else:
            number.dgn_number = first

    def _redirect(self, region: vendor_values.Region) -> Redirect:
        if self._landlines and self._happens(0.4):
            return self._random.choice(self._landlines)
        return self._new_redirect(region)

    def _new_redirect(self, region: vendor_values.Region) -> Redirect:
        return Redirect(self._next_id(), self._phone_number(self._code("abc", region)))

    def _code(self, kind: str, region: vendor_values.Region) -> str:
        if kind == "toll_free":
            return "800"
        return self._random.choice(region.mobile_codes if kind == "def" else region.area_codes)

    def _phone_number(self, code: str) -> str:
        """Return another number with this code, never the same twice; a subscriber's digits start with 2 to 9."""
        tens: int = 10 ** (9 - len(code))
        latest = self._subscribers[code] if code in self._subscribers else self._random.randrange(8 * tens)
        self._subscribers[code] = (latest + self._STRIDE) % (8 * tens)
        return f"7{code}{2 * tens + self._subscribers[code]}"

    def _next_id(self) -> int:
        self._last_id += self._random.choice((1, 1, 1, 2, 5))
        return self._last_id

    def _comment(self) -> str:
        """Return what an office manager might write."""
        office = self._random.choice(vendor_values.OFFICES)
        if self._happens(0.3):
            return office
        return f"{office} {self._random.choice(vendor_values.PLACES)}, доб. {self._random.randrange(100, 1000)}"

    def _reason(self, state: str) -> str | None:
        return self._random.choice(vendor_values.REASONS[state]) if state in vendor_values.REASONS else None

    def _weighted(self, weights: Mapping[Word, float]) -> Word:
        return self._random.choices(tuple(weights), tuple(weights.values()))[0]

    def _happens(self, share: float) -> bool:
        return self._random.random() < share


_REGION_WEIGHTS: Final = tuple(accumulate(region.weight for region in vendor_values.REGIONS))
