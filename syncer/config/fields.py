"""Pydantic types for the formats of settings: durations, sizes, addresses, tokens and so on.

An invalid value raises a `ValueError`. Its message says what is allowed and never repeats the value, which may be a
secret.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, SecretStr

from syncer.config.crontab import crontab_trigger
from syncer.config.database_address import check_database_address
from syncer.config.hosts import ListenAddress, canonical_host, is_ip_address
from syncer.errors import in_sentence
from syncer.name_list import NameWord

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_DURATION = timedelta(
    days=3650
)  # short enough that adding it to a date never overflows datetime or PostgreSQL's types
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SIZES = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_BOOLEANS = {"on": True, "true": True, "off": False, "false": False}
_MAX_ATTEMPTS = 100
_MAX_CONFIRMATIONS = 1000
_MAX_NAME_CHARS = 100
_MAX_SHOWN_CHARS = 100
_NAME_WORDS = get_args(NameWord)

_CRONTAB_ALLOWED = (
    "it must be a crontab line (minute, hour, day of month, month, day of week) for a time that exists, with a day of "
    "the month or of the week but not both, such as '*/10 8-20 * * 1-5'"
)
NUMBERS_PATH = "/numbers/virtual-number"
"""The endpoint's path below the base address, as the vendor documents it."""


def redacted(value: object) -> str:
    """Returns a value as text for a message, without the user name, password and query of an address."""
    if isinstance(value, str) and "//" in value:
        value = re.sub(r"[?#].*", "?***", re.sub(r"//.*@", "//***@", value, flags=re.DOTALL), flags=re.DOTALL)
    text = str(value).lower() if isinstance(value, bool) else repr(value)  # a TOML file has `true`
    return text if len(text) <= _MAX_SHOWN_CHARS else text[:_MAX_SHOWN_CHARS] + "…"


def file_error_reason(error: OSError | ValueError) -> str:
    """Returns why a file cannot be read."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def duration_parser(
    at_least: timedelta, text: str, examples: str = "30s, 5m, 24h or 90d"
) -> Callable[[object], timedelta]:
    """Returns a validator of durations that are not shorter than `at_least`; `text` says so in its message."""

    def parse(value: object) -> timedelta:
        if isinstance(value, str) and (match := re.fullmatch(r"([0-9]{1,9})([smhd])", value)):
            value = timedelta(**{_UNITS[match[2]]: int(match[1])})
        if not isinstance(value, timedelta) or not at_least <= value <= _MAX_DURATION:
            raise ValueError(f"it must be a duration {text}, such as {examples}")
        return value

    return parse


def describe_duration(duration: timedelta) -> str:
    """Returns a duration as a setting has it, in the largest unit that fits: "60s", "5m", "24h", "90d"."""
    seconds = duration.total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:g}s"


def _parse_on_off(value: object) -> object:
    if isinstance(value, str) and value.lower() in _BOOLEANS:
        return _BOOLEANS[value.lower()]
    if not isinstance(value, bool):
        raise ValueError("it must be on or off (true or false)")  # noqa: TRY004 - pydantic reports ValueError only
    return value


def _parse_size(value: object) -> object:
    if isinstance(value, str) and (match := re.fullmatch(r"([0-9]{1,12}) ?(B|KiB|MiB|GiB|)", value)):
        value = int(match[1]) * _SIZES[match[2]]
    if not isinstance(value, int) or value < 1:
        raise ValueError("it must be a size of at least 1 byte, such as 64KiB, 256MiB or 1GiB")
    return value


def describe_size(size: int) -> str:
    """Returns a size as a setting has it, in the largest unit that divides it: "64KiB", "256MiB"."""
    unit = max((unit for unit, length in _SIZES.items() if size % length == 0), key=_SIZES.__getitem__)
    return f"{size // _SIZES[unit]}{unit}"


def _count_parser(maximum: int) -> Callable[[object], object]:
    def parse(value: object) -> object:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,4}", value):
            value = int(value)
        if not isinstance(value, int) or not 1 <= value <= maximum:
            raise ValueError(f"it must be a whole number from 1 to {maximum}")
        return value

    return parse


def _parse_ratio(value: object) -> object:
    try:
        ratio = float(value) if isinstance(value, str | float | int) else -1.0
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise ValueError("it must be a number from 0 to 1, such as 0.2")
    return ratio


def _parse_time_zone(value: object) -> ZoneInfo:
    try:
        return value if isinstance(value, ZoneInfo) else ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: "Europe" is a folder
        raise ValueError("it must be an IANA time zone name, such as Europe/Moscow or UTC") from None


def _check_crontab(line: str) -> str:
    try:
        crontab_trigger(line, ZoneInfo("UTC"))
    except ValueError:
        raise ValueError(_CRONTAB_ALLOWED) from None
    return line


def _parse_listen_address(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.lower() == "off":
        return None
    try:
        return ListenAddress.parse(value)
    except ValueError as error:
        raise ValueError(f"{error}, or off") from None


def _parse_host_names(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = tuple(canonical_host(name.strip()) for name in value.split(","))
    if not all(re.fullmatch(r"[a-z0-9_.-]{1,253}", name) or is_ip_address(name) for name in names):
        raise ValueError("it must be host names or addresses without ports, such as pbx.example,192.0.2.7")
    return names


def _parse_name_words(value: object) -> object:
    if not isinstance(value, str):
        return value
    words = {word.strip() for word in value.lower().split(",")}
    if words == {"off"}:
        return ()
    if not words.issubset(_NAME_WORDS):
        raise ValueError(f"it must be off, or one or more of {in_sentence(_NAME_WORDS)}, separated by commas")
    return tuple(word for word in _NAME_WORDS if word in words)


_NAME_BEFORE_TOKEN = re.compile(
    r"(?:export +)?((?:[A-Z0-9_]*TOKEN(?:_[A-Z0-9_]*)?|(?:[A-Za-z0-9_]*_)?[Tt]oken|[Aa]uthorization)\s*[=:])"
)
"""A variable's, a key's or a header's name that was copied with the token."""


def _check_token(secret: SecretStr) -> SecretStr:
    token = secret.get_secret_value().strip()  # spaces around a header's value are not part of it
    if re.match("[\"'«“„`]", token):
        raise ValueError("it begins with a quotation mark, which is not part of the token: remove the quotation marks")
    if start := _NAME_BEFORE_TOKEN.match(token):
        raise ValueError(f"it begins with {start[1]}, which is not part of the token: keep only what follows it")
    if re.fullmatch(r"[ -~]+", token) is None:
        raise ValueError("it must be one line of printable ASCII characters, as the Личный кабинет shows it")
    return SecretStr(token)


def _check_auth_scheme(value: str) -> str:
    if re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", value) is None:
        raise ValueError("it must be one word, such as Bearer; the token belongs in SYNCER_API_TOKEN")
    return value


def _check_proxy(secret: SecretStr) -> SecretStr:
    address = secret.get_secret_value()
    if not is_http_url(address) or urlsplit(address).path not in ("", "/"):
        raise ValueError("it must be http://HOST:PORT or https://HOST:PORT, optionally with user:password@ before HOST")
    return secret


def check_base_address(address: str, *, example: str) -> str:
    """Returns an address of a server without a trailing slash; raises ValueError with what is allowed."""
    if not is_http_url(address) or "@" in urlsplit(address).netloc or "?" in address or "#" in address:
        raise ValueError(f"it must be an address such as {example}, with no user name, password, query or fragment")
    return address.rstrip("/")


def _normalize_endpoint(address: str) -> str:
    return check_base_address(address, example="https://simple-api.cp.megafon.ru").removesuffix(NUMBERS_PATH)


def is_http_url(address: str) -> bool:
    """Whether text is an address with the scheme http or https and a host that can be resolved."""
    try:
        parts = urlsplit(address)
        port = parts.port  # reading it raises ValueError on anything but 0 to 65535
        (parts.hostname or "").encode("idna")  # raises UnicodeError, a ValueError, on a host that cannot be resolved
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and _is_visible_ascii(address)


def _is_visible_ascii(text: str) -> bool:
    return re.fullmatch(r"[!-~]+", text) is not None


def check_name(value: str, *, max_chars: int) -> str:
    """Returns a name; raises ValueError with what is allowed."""
    if not value.isprintable() or value != value.strip() or not 1 <= len(value) <= max_chars:
        raise ValueError(f"it must be 1 to {max_chars} printable characters, with no space before or after them")
    return value


def check_account_name(value: str) -> str:
    """Returns the name of an account; raises ValueError with what is allowed."""
    return check_name(value, max_chars=_MAX_NAME_CHARS)


def check_role_name(value: str) -> str:
    """Returns the name of a login of the database; raises ValueError with what is allowed."""
    if not re.fullmatch("[a-z_][a-z0-9_]{0,50}", value):
        raise ValueError("it must be 1 to 51 lower-case letters, digits and underscores, and not begin with a digit")
    return value


def _expand_path(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("it must be a path; the home folder that it refers to is unknown") from None


def _check_readable_file(path: Path) -> Path:
    path = _expand_path(path)
    try:
        path.open("rb").close()
    except OSError as error:
        raise ValueError(f"it must be a file that can be read: {file_error_reason(error)}") from None
    return path


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


_SECOND = timedelta(seconds=1)

AccountName = Annotated[str, AfterValidator(check_account_name)]
Attempts = Annotated[int, BeforeValidator(_count_parser(_MAX_ATTEMPTS))]
AuthScheme = Annotated[str, AfterValidator(_check_auth_scheme)]
CaseInsensitive = BeforeValidator(_lower)
Confirmations = Annotated[int, BeforeValidator(_count_parser(_MAX_CONFIRMATIONS))]
Crontab = Annotated[str, AfterValidator(_check_crontab)]
DatabaseAddress = Annotated[SecretStr, AfterValidator(check_database_address)]
Duration = Annotated[timedelta, BeforeValidator(duration_parser(timedelta(0), "of at most 3650d"))]
Endpoint = Annotated[str, AfterValidator(_normalize_endpoint)]
NameWords = Annotated[tuple[NameWord, ...], BeforeValidator(_parse_name_words)]
NamesInterval = Annotated[timedelta, BeforeValidator(duration_parser(timedelta(minutes=5), "from 5m to 3650d"))]
HostNames = Annotated[tuple[str, ...], BeforeValidator(_parse_host_names)]
OptionalListenAddress = Annotated[ListenAddress | None, BeforeValidator(_parse_listen_address)]
PollInterval = Annotated[timedelta, BeforeValidator(duration_parser(_SECOND, "from 1s to 3650d"))]
Proxy = Annotated[SecretStr, AfterValidator(_check_proxy)]
Ratio = Annotated[float, BeforeValidator(_parse_ratio)]
ReadableFile = Annotated[Path, AfterValidator(_check_readable_file)]
Size = Annotated[int, BeforeValidator(_parse_size)]
ExpandedPath = Annotated[Path, AfterValidator(_expand_path)]
OnOff = Annotated[bool, BeforeValidator(_parse_on_off)]
Timeout = Annotated[timedelta, BeforeValidator(duration_parser(timedelta(microseconds=1), "above zero"))]
TimeZone = Annotated[ZoneInfo, BeforeValidator(_parse_time_zone)]
Token = Annotated[SecretStr, AfterValidator(_check_token)]
