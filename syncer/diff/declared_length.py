"""What a response's headers say about the length of the whole list, and whether the received elements are all of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeclaredLength:
    """What the headers of a response say about the length of the list.

    Attributes:
        has_next_page: Whether a `Link` header has `rel="next"`: the list goes on in another response.
        totals: The totals that headers name, each with the header's name.
    """

    has_next_page: bool = False
    totals: tuple[tuple[str, int], ...] = ()

    def partial_reason(self, received: int) -> str | None:
        """Returns the sentence that says why the response is a part of the list only; None if no header says so.

        Args:
            received: How many elements the response has.
        """
        if self.has_next_page:
            return 'the header Link has rel="next": the response is one page of a longer list'
        for header, total in self.totals:
            if total > received:
                return f"the header {header} says that the list has {total} elements, but the response has {received}"
        return None


NOTHING_DECLARED = DeclaredLength()
"""No header says anything about the length of the list."""
