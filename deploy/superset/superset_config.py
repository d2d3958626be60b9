"""Superset's configuration for `make superset`; README.md says which parts other installations need."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

SECRET_KEY = os.environ["SUPERSET_SECRET_KEY"]
SQLALCHEMY_DATABASE_URI = os.environ["SUPERSET_DATABASE_URL"]

LANGUAGES = {"en": {"flag": "us", "name": "English"}, "ru": {"flag": "ru", "name": "Русский"}}
# A space as the thousands separator suits both languages.
D3_FORMAT = {"decimal": ".", "thousands": "\u00a0", "grouping": [3], "currency": ["", ""]}

# The pages may send requests to this server only: by default they load a tracking image from elsewhere.
TALISMAN_CONFIG = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "font-src": ["'self'", "data:"],
        "script-src": ["'self'", "'strict-dynamic'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,
    "session_cookie_secure": False,
}


def COMMON_BOOTSTRAP_OVERRIDES_FUNC(data: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - Superset's name
    """Writes decimal fractions with a comma if Superset's own interface is in Russian."""
    return {"d3_format": D3_FORMAT | {"decimal": ","}} if data["locale"] == "ru" else {}


def DB_CONNECTION_MUTATOR(  # noqa: N802 - Superset's name
    uri: URL, params: dict[str, Any], *_: object
) -> tuple[URL, dict[str, Any]]:
    """Replaces the address in the bundle by the real one, including the password."""
    if uri.username == "syncer_analyst":
        uri = make_url(os.environ["SYNCER_ANALYST_URL"])
    return uri, params
