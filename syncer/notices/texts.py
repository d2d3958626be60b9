"""The words of notices in Russian and English."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from syncer.titles import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from syncer.notices.rules import Language


class Counted(NamedTuple):
    """A text with a count in each grammatical number of English and of Russian: 1, 2; and 1, 2, 5."""

    en: tuple[str, str]
    ru: tuple[str, str, str]


TEXTS: Final[Mapping[str, Text]] = {
    # Of all notices
    "more": Text("and {count} more", "и ещё {count}"),
    "number_with_id": Text("number with id {id}", "номер с id {id}"),
    "quoted": Text("“{text}”", "«{text}»"),
    "empty": Text("empty", "пусто"),
    "true": Text("yes", "да"),
    "false": Text("no", "нет"),
    "changes_footer": Text(
        "Account: {account}. Rule: {rule}. Time zone: {time_zone}.",
        "Личный кабинет: {account}. Правило: {rule}. Часовой пояс: {time_zone}.",
    ),
    "conditions_footer": Text("Rule: {rule}. {zone}", "Правило: {rule}. {zone}"),
    "one_zone": Text("Time zone: {time_zone}.", "Часовой пояс: {time_zone}."),
    "own_zones": Text(
        "Times are in the time zone of each account.", "Время указано в часовом поясе каждого личного кабинета."
    ),
    # Moments
    "before": Text("before {until}", "до {until}"),
    "between": Text("between {after} and {until}", "между {after} и {until}"),
    "between_on_day": Text("between {after} and {until} on {day}", "{day} между {after} и {until}"),
    "at": Text("at {moment}", "в {moment}"),
    "period": Text("from {begin} to {end}", "с {begin} до {end}"),
    "since": Text("since {begin}", "с {begin}"),
    "under_a_minute": Text("less than a minute", "меньше минуты"),
    # Changes
    "no_changes": Text("nothing has changed", "изменений не было"),
    "is_new": Text("a new number", "новый номер"),
    "was": Text("it was: {state}", "было: {state}"),
    "changed": Text("{field}: {old} → {new}", "{field}: {old} → {new}"),
    "redirect_opened": Text("redirect added from {number}", "добавлена переадресация с {number}"),
    "redirect_closed": Text("redirect removed from {number}", "снята переадресация с {number}"),
    # Digests
    "blocked_line": Text("since {begin}, for {duration}", "с {begin}, уже {duration}"),
    "longest": Text("{heading}, the longest for {duration}", "{heading}, дольше всех {duration}"),
    "none_blocked": Text(
        "No number is locked for debt or frozen now", "Заблокированных и замороженных номеров сейчас нет"
    ),
    "failed_polls": Text(
        "Failed polls since {begin}: {count} ({kinds})", "Неудачных опросов с {begin}: {count} ({kinds})"
    ),
    "no_failed_polls": Text("No poll has failed since {begin}", "Неудачных опросов с {begin} не было"),
    "abandoned": Text("abandoned", "прерваны"),
    # Conditions, after the name of an account or the count of the accounts; some are also in COUNTED
    "stale_began": Text("no successful poll", "не удаётся опросить"),
    "stale_began_and_ended": Text("no successful poll", "не удавалось опросить"),
    "stale_ended": Text("polled again", "снова опрашивается"),
    "stale_was": Text("no successful poll {period}", "перерыв {period}"),
    "refused_began": Text("access refused (401 or 403)", "доступ к API отклонён (401 или 403)"),
    "refused_began_and_ended": Text("access was refused (401 or 403)", "доступ к API отклонялся (401 или 403)"),
    "refused_ended": Text("access works again", "доступ к API восстановлен"),
    "refused_was": Text("it was refused {period}", "был отклонён {period}"),
    "held_began": Text("removals held", "удержано удаление номеров"),
    "held_began_and_ended": Text("removals were held", "удерживалось удаление номеров"),
    "held_ended": Text("no removal is held any more", "удержание удалений закончилось"),
    "held_was": Text("some were held {period}", "длилось {period}"),
    "rejected_began": Text("records rejected", "отклонены записи"),
    "rejected_began_and_ended": Text("records were rejected", "отклонялись записи"),
    "rejected_ended": Text("no record is rejected any more", "отклонённых записей больше нет"),
    "rejected_was": Text("some were rejected {period}", "были {period}"),
    # What to do about a condition
    "stale_hint": Text("The command syncer status shows why.", "Причину показывает команда syncer status."),
    "refused_hint": Text(
        "401: the token is not valid; generate one in the Личный кабинет, which revokes the old one. 403: most likely "
        "the address of this machine is not on the allow-list there. The command syncer status shows which it is.",
        "401: неверный токен; сгенерируйте новый в Личном кабинете (прежний перестанет действовать). 403: скорее "
        "всего, адреса этой машины там нет в списке разрешённых. Что из этого, показывает команда syncer status.",
    ),
    "held_hint": Text(
        "Compare with the Личный кабинет. If the numbers are really gone, run:\n{command}\nOtherwise wait: if they are "
        "listed again, nothing is removed; if they stay missing, their removal is applied when the hold ends.",
        "Сверьте список с Личным кабинетом. Если номеров действительно больше нет, выполните:\n{command}\n"
        "Или подождите: если номера снова появятся в списке, ничего не удалится; если нет, удаление будет принято, "
        "когда истечёт срок удержания.",
    ),
    "rejected_hint": Text(
        "Their numbers keep their last valid values. The command syncer status shows what is wrong with each record.",
        "Номера сохраняют последние корректные значения. Что не так с каждой записью, показывает команда syncer "
        "status.",
    ),
    "some_account": Text("NAME", "ИМЯ"),
    # Tests
    "test_subject": Text("syncer: a test of the channel {channel}", "syncer: проверка канала {channel}"),
    "test_text": Text(
        "This is a test. Nothing has happened, and there is nothing to do.",
        "Это проверка. Ничего не произошло, и делать ничего не нужно.",
    ),
    "test_number": Text(
        "Phone numbers look like this here; this one is made up: {number}",
        "Номера телефонов здесь выглядят так, этот — вымышленный: {number}",
    ),
    "test_no_number": Text("Phone numbers are not shown here.", "Номера телефонов здесь не показываются."),
    # Grammar
    "thousands": Text(",", "\N{NO-BREAK SPACE}"),
    "months": Text("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec", "01 02 03 04 05 06 07 08 09 10 11 12"),
    "day": Text("{day} {month}", "{day:02}.{month}"),
    "day_of_year": Text("{day} {month} {year}", "{day:02}.{month}.{year}"),
}

COUNTED: Final[Mapping[str, Counted]] = {
    # Events
    "locked": Counted(
        ("{count} number locked for debt", "{count} numbers locked for debt"),
        (
            "заблокирован за долг {count} номер",
            "заблокированы за долг {count} номера",
            "заблокировано за долг {count} номеров",
        ),
    ),
    "frozen": Counted(
        ("{count} number frozen", "{count} numbers frozen"),
        ("заморожен {count} номер", "заморожены {count} номера", "заморожено {count} номеров"),
    ),
    "unlocked": Counted(
        ("{count} number active again", "{count} numbers active again"),
        ("снова активен {count} номер", "снова активны {count} номера", "снова активны {count} номеров"),
    ),
    "removed": Counted(
        ("{count} number removed", "{count} numbers removed"),
        ("удалён {count} номер", "удалены {count} номера", "удалено {count} номеров"),
    ),
    "returned": Counted(
        ("{count} number returned", "{count} numbers returned"),
        ("вернулся {count} номер", "вернулись {count} номера", "вернулось {count} номеров"),
    ),
    "new": Counted(
        ("{count} number added", "{count} numbers added"),
        ("появился {count} номер", "появились {count} номера", "появилось {count} номеров"),
    ),
    "state": Counted(
        ("{count} change of state or reason", "{count} changes of state or reason"),
        (
            "{count} изменение состояния или причины",
            "{count} изменения состояния или причины",
            "{count} изменений состояния или причины",
        ),
    ),
    "redirect": Counted(
        ("{count} change of redirects", "{count} changes of redirects"),
        ("{count} изменение переадресации", "{count} изменения переадресации", "{count} изменений переадресации"),
    ),
    "employee": Counted(
        ("{count} change of employee", "{count} changes of employee"),
        ("{count} смена сотрудника", "{count} смены сотрудника", "{count} смен сотрудника"),
    ),
    "record": Counted(
        ("{count} change of other fields", "{count} changes of other fields"),
        ("{count} изменение других полей", "{count} изменения других полей", "{count} изменений других полей"),
    ),
    # When: of one number, and of several that have the same moments
    "removed_at_once": Counted(
        ("not listed since {missed}", "not listed since {missed}"),
        ("не числится с {missed}", "не числятся с {missed}", "не числятся с {missed}"),
    ),
    "removed_later": Counted(
        (
            "not listed since {missed}, removal confirmed {recorded}",
            "not listed since {missed}, removal confirmed {recorded}",
        ),
        (
            "не числится с {missed}, удаление признано {recorded}",
            "не числятся с {missed}, удаление признано {recorded}",
            "не числятся с {missed}, удаление признано {recorded}",
        ),
    ),
    "returned_at": Counted(
        ("listed again since {seen}", "listed again since {seen}"),
        ("снова числится с {seen}", "снова числятся с {seen}", "снова числятся с {seen}"),
    ),
    "returned_after": Counted(
        (
            "listed again since {seen}, missing after {last_seen}",
            "listed again since {seen}, missing after {last_seen}",
        ),
        (
            "снова числится с {seen}, не было с {last_seen}",
            "снова числятся с {seen}, не было с {last_seen}",
            "снова числятся с {seen}, не было с {last_seen}",
        ),
    ),
    # Digests
    "debt_lock": Counted(
        ("{count} number locked for debt now", "{count} numbers locked for debt now"),
        (
            "Сейчас заблокирован за долг {count} номер",
            "Сейчас заблокированы за долг {count} номера",
            "Сейчас заблокировано за долг {count} номеров",
        ),
    ),
    "freeze": Counted(
        ("{count} number frozen now", "{count} numbers frozen now"),
        ("Сейчас заморожен {count} номер", "Сейчас заморожены {count} номера", "Сейчас заморожено {count} номеров"),
    ),
    # Conditions: the accounts, and what is counted of each
    "accounts": Counted(
        ("{count} account", "{count} accounts"),
        ("{count} личный кабинет", "{count} личных кабинета", "{count} личных кабинетов"),
    ),
    "numbers": Counted(("{count} number", "{count} numbers"), ("{count} номер", "{count} номера", "{count} номеров")),
    "records": Counted(("{count} record", "{count} records"), ("{count} запись", "{count} записи", "{count} записей")),
    "stale_ended": Counted(
        ("polled again", "polled again"), ("снова опрашивается", "снова опрашиваются", "снова опрашиваются")
    ),
    "held_began": Counted(
        ("removal of {count} number held", "removal of {count} numbers held"),
        ("удержано удаление {count} номера", "удержано удаление {count} номеров", "удержано удаление {count} номеров"),
    ),
    "held_began_and_ended": Counted(
        ("removal of {count} number was held", "removal of {count} numbers was held"),
        (
            "удерживалось удаление {count} номера",
            "удерживалось удаление {count} номеров",
            "удерживалось удаление {count} номеров",
        ),
    ),
    "rejected_began": Counted(
        ("{count} record rejected", "{count} records rejected"),
        ("отклонена {count} запись", "отклонены {count} записи", "отклонено {count} записей"),
    ),
    "rejected_began_and_ended": Counted(
        ("{count} record was rejected", "{count} records were rejected"),
        ("отклонялась {count} запись", "отклонялись {count} записи", "отклонялось {count} записей"),
    ),
    # Durations, in the accusative
    "days": Counted(("{count} day", "{count} days"), ("{count} день", "{count} дня", "{count} дней")),
    "hours": Counted(("{count} hour", "{count} hours"), ("{count} час", "{count} часа", "{count} часов")),
    "minutes": Counted(("{count} minute", "{count} minutes"), ("{count} минуту", "{count} минуты", "{count} минут")),
}


class Words:
    """The words of one language."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language

    def text(self, name: str, **values: object) -> str:
        """Returns a text with its values."""
        return self.of(TEXTS[name]).format(**values)

    def of(self, text: Text) -> str:
        """Returns the text in this language."""
        return text.en if self.language == "en" else text.ru

    def counted(self, name: str, count: int, **values: object) -> str:
        """Returns a text in the grammatical number that a count needs."""
        forms = COUNTED[name]
        form = forms.en[count != 1] if self.language == "en" else forms.ru[_russian_form(count)]
        return form.format(count=self.count(count), **values)

    def count(self, count: int) -> str:
        """Formats a count, with its thousands separated."""
        return f"{count:,}".replace(",", self.text("thousands"))


def _russian_form(count: int) -> int:
    """Returns the place of the form in which a noun follows a count: номер, номера, номеров."""
    if count % 100 in range(11, 15):
        return 2
    return {1: 0, 2: 1, 3: 1, 4: 1}.get(count % 10, 2)
