"""What all HTML pages share: the templates, the style, the policy that forbids scripts, and the links between pages."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from syncer.outcome import accept_removals_command
from syncer.phone_numbers import format_phone
from syncer.web import chart, sections
from syncer.web.format import shorten
from syncer.web.translations import LANGUAGES, preferred_language, texts_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from syncer.web.translations import Language

_STYLE: Final = (files("syncer.web") / "templates" / "page.css").read_text(encoding="utf-8")
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""The Content-Security-Policy: allows the pages' own style, their `data:` icon, and forms to this server."""


@dataclass(frozen=True, slots=True)
class Document:
    """A response to the browser; `location` is the address to go to instead, if any."""

    status: int
    language: Language
    html: str
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """In which language a visitor reads.

    Attributes:
        explicit_language: The language that the address names, if any.
        language: The language to render in.
    """

    explicit_language: Language | None
    language: Language

    @classmethod
    def from_request(cls, query: Mapping[str, str], accept_language: str) -> Self:
        """Parses a query string and an Accept-Language header."""
        explicit = next((language for language in LANGUAGES if language == query.get("lang")), None)
        return cls(explicit, explicit or preferred_language(accept_language))

    def link(self, path: str, **parameters: str | int | Sequence[str] | None) -> str:
        """Returns the address of a page in the same language; parameters that are None or empty are left out."""
        query = {"lang": self.explicit_language} | parameters
        encoded = urlencode({name: value for name, value in query.items() if value not in (None, "", ())}, doseq=True)
        return f"{path}?{encoded}" if encoded else path

    def context(self) -> dict[str, Any]:
        """Returns what every template needs."""
        return {
            "style": Markup(_STYLE),  # noqa: S704 - ours
            "texts": texts_for(self.language),
            "language": self.language,
            "other_language": LANGUAGES[1 - LANGUAGES.index(self.language)],
            "explicit_language": self.explicit_language,
            "to": self.link,
        }


def environment() -> Environment:
    """Returns the environment of the templates."""
    templates = Environment(
        loader=PackageLoader("syncer.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals |= {
        "colour_class": sections.colour_class,
        "width": chart.WIDTH,
        "height": chart.HEIGHT,
    }
    templates.filters |= {
        "phone": format_phone,
        "shorten": shorten,
        "invalid_field": sections.invalid_field,
        "accept_command": accept_removals_command,
        # Values are escaped unless they are our own Markup.
        "fill": lambda text, **values: Markup(text).format(**values),  # noqa: S704 - the texts are ours
    }
    return templates
