"""The page's words in its two languages, and which of them a browser prefers.

Each text stands here in both languages at once, so that none can lack one. What is in braces is filled in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

Language = Literal["en", "ru"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "ru")
"""The first one is for browsers that want none of them."""


class Text(NamedTuple):
    """A text in English and in Russian."""

    en: str
    ru: str


TEXTS: Final[Mapping[str, Text]] = {
    "title": Text("syncer: virtual numbers", "syncer: виртуальные номера"),
    "subject": Text("MegaFon virtual numbers", "Виртуальные номера МегаФона"),
    "other_language": Text("По-русски", "In English"),
    "as_of": Text("as of {moment}", "на {moment}"),
    "refreshes": Text("refreshes every {seconds} s", "обновляется каждые {seconds} с"),
    "stop": Text("stop", "остановить"),
    "stopped": Text("does not refresh by itself", "само не обновляется"),
    "resume": Text("resume", "возобновить"),
    "all_accounts": Text("All accounts", "Все кабинеты"),
    "skip": Text("To the content", "К содержанию"),
    # The sentence on top
    "nothing_yet": Text("Nothing was recorded yet", "Пока ничего не записано"),
    "nothing_yet_why": Text(
        "The first poll has not come to its end. This page shows what it finds.",
        "Первый опрос ещё не закончен. Что он найдёт, появится здесь.",
    ),
    "all_well": Text("Everything is up to date", "Все данные свежие"),
    "waiting": Text("The first polls are under way", "Идут первые опросы"),
    "needs_attention": Text("Something needs attention", "Кое-что требует внимания"),
    "no_such_account": Text("There is no account of this name", "Кабинета с таким именем нет"),
    "no_database": Text("The database cannot be read", "Базу данных не удаётся прочитать"),
    "no_database_stale": Text("What follows is as of {moment}.", "Ниже данные на {moment}."),
    "no_database_nothing": Text(
        "Until it can, there is nothing to show. The daemon keeps trying by itself.",
        "Пока её не прочесть, показать нечего. Программа продолжает пытаться сама.",
    ),
    # Figures
    "numbers": Text("Numbers", "Номера"),
    "accounts": Text("Accounts", "Личные кабинеты"),
    "held": Text("Removals held", "Удержано удалений"),
    "rejected": Text("Records rejected", "Не принято записей"),
    # Accounts
    "failing": Text("failing", "сбой"),
    "late": Text("late", "опаздывает"),
    "new": Text("first poll", "первый опрос"),
    "ok": Text("up to date", "свежие данные"),
    "retired": Text("not polled", "не опрашивается"),
    "late_why": Text(
        "It has been due since {moment}, and nobody polls it.",
        "Опрос ждёт с {moment}, но его никто не начал.",
    ),
    "retired_why": Text("It is not configured any more.", "Его больше нет в настройках."),
    "last_success": Text("Last success", "Последний успех"),
    "never": Text("never", "не было"),
    "next_poll": Text("Next poll", "Следующий опрос"),
    "now": Text("now", "сейчас"),
    "no_numbers": Text("no numbers", "номеров нет"),
    "held_why": Text(
        "Numbers missing since {moment}, removal held: {count}. If they are really gone:",
        "Номера пропали {moment}, удаление удержано: {count}. Если их действительно больше нет:",
    ),
    "rejected_count": Text("Records rejected: {count}", "Не принято записей: {count}"),
    "page_of": Text("Page {page} of {pages}", "Страница {page} из {pages}"),
    "previous": Text("Previous", "Назад"),
    "next": Text("Next", "Дальше"),
    "attention_first": Text("Those that need attention come first.", "Сначала те, что требуют внимания."),
    # Time line
    "by_state": Text("Numbers by state", "Номера по состояниям"),
    "all_states": Text("All numbers", "Все номера"),
    "but_largest": Text("All but “{state}”", "Все, кроме «{state}»"),
    "chart_says": Text(
        "Numbers by state from {begins} to {ends}; the table beside it has the figures.",
        "Номера по состояниям с {begins} по {ends}; цифры в таблице рядом.",
    ),
    "state": Text("State", "Состояние"),
    "number_now": Text("Now", "Сейчас"),
    "difference": Text("Change", "Изменение"),
    "whole": Text("all", "всё"),
    "other_states": Text("others", "прочие"),
    "took_too_long": Text(
        "This took too long to ask. Schema analytics of the database has it all.",
        "Запрос занял слишком много времени. В схеме analytics базы данных есть всё.",
    ),
    # Changes
    "changes": Text("Latest changes", "Последние изменения"),
    "no_changes": Text("Nothing has changed yet.", "Пока ничего не менялось."),
    "run": Text("run {run_id}", "опрос {run_id}"),
    "between": Text("happened between {after} and {until}", "произошло между {after} и {until}"),
    "before": Text("happened before {until}", "произошло до {until}"),
    "all_changes": Text("This run in all", "Всего в этом опросе"),
    "created": Text("new", "новый"),
    "removed": Text("removed", "удалён"),
    "restored": Text("returned", "вернулся"),
    "redirect_opened": Text("redirect from", "переадресация с"),
    "redirect_closed": Text("redirect ended from", "снята переадресация с"),
    "empty": Text("empty", "пусто"),
    "yes": Text("yes", "да"),
    "no": Text("no", "нет"),
    # Fields of a number
    "field_number": Text("number", "номер"),
    "field_comment": Text("comment", "комментарий"),
    "field_type": Text("type", "тип"),
    "field_purpose": Text("purpose", "назначение"),
    "field_state": Text("state", "состояние"),
    "field_reason": Text("reason", "причина"),
    "field_scenario_id": Text("scenario", "сценарий"),
    "field_group_scenario_id": Text("group's scenario", "сценарий группы"),
    "field_group_id": Text("group", "группа"),
    "field_is_scenario_active": Text("scenario is active", "сценарий включён"),
    "field_is_group_scenario_active": Text("group's scenario is active", "сценарий группы включён"),
    "field_employee_id": Text("employee", "сотрудник"),
    "field_dgn_number": Text("paired landline (ДГН)", "ДГН"),
    "field_redirect_number": Text("redirected to", "переадресация на"),
    "field_region": Text("region", "регион"),
    "field_app_id": Text("app_id", "app_id"),
    "field_nc_type": Text("nc_type", "nc_type"),
    "field_sip_uri": Text("SIP URI", "SIP URI"),
    # Runs
    "runs": Text("Latest polls", "Последние опросы"),
    "no_runs": Text("No poll has begun yet.", "Ни один опрос ещё не начат."),
    "when": Text("When", "Когда"),
    "outcome": Text("Outcome", "Итог"),
    "took": Text("Took", "Длился"),
    "times": Text("{count} in a row", "подряд: {count}"),
    "applied": Text("applied", "записан"),
    "unchanged": Text("unchanged", "без изменений"),
    "failed": Text("failed", "сбой"),
    "superseded": Text("superseded", "опережён"),
    "abandoned": Text("abandoned", "брошен"),
    "running": Text("running", "идёт"),
    "count_received": Text("received {count}", "получено {count}"),
    "count_created": Text("new {count}", "новых {count}"),
    "count_changed": Text("changed {count}", "изменено {count}"),
    "count_removed": Text("removed {count}", "удалено {count}"),
    "count_restored": Text("returned {count}", "вернулось {count}"),
    "count_held": Text("held {count}", "удержано {count}"),
    "count_rejected": Text("rejected {count}", "не принято {count}"),
    # Rejected records
    "rejected_records": Text("Rejected records", "Непринятые записи"),
    "rejected_why": Text(
        "The last good values of their numbers stay until the vendor sends what can be read.",
        "Последние верные значения их номеров остаются, пока не придёт то, что можно прочесть.",
    ),
    "rejected_latest": Text("The newest {shown} of {count}:", "Новейшие {shown} из {count}:"),
    "record_of": Text("record {id}", "запись {id}"),
    "record_unknown": Text("a record whose id cannot be read", "запись с нечитаемым id"),
    "since": Text("since {moment}", "с {moment}"),
    "seen_times": Text("times received: {count}", "получена раз: {count}"),
    "as_received": Text("as received", "как получено"),
    # Units of time
    "seconds_ago": Text("{count} s ago", "{count} с назад"),
    "minutes_ago": Text("{count} min ago", "{count} мин назад"),
    "hours_ago": Text("{count} h ago", "{count} ч назад"),
    "days_ago": Text("{count} d ago", "{count} дн. назад"),
    "in_seconds": Text("in {count} s", "через {count} с"),
    "in_minutes": Text("in {count} min", "через {count} мин"),
    "in_hours": Text("in {count} h", "через {count} ч"),
    "in_days": Text("in {count} d", "через {count} дн."),
    "seconds": Text("{count} s", "{count} с"),
    "minutes": Text("{count} min", "{count} мин"),
    "hours": Text("{count} h", "{count} ч"),
    "days": Text("{count} d", "{count} дн."),
    "months": Text(
        "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
        "янв. февр. марта апр. мая июня июля авг. сент. окт. нояб. дек.",
    ),
    "decimal_point": Text(".", ","),
}


def words(language: Language) -> dict[str, str]:
    """All texts of a language by their names."""
    return {name: getattr(text, language) for name, text in TEXTS.items()}


def preferred(accept_language: str) -> Language:
    """The language that a browser would rather have, by its Accept-Language (RFC 9110, 12.5.4)."""
    weights = dict(_range(one) for one in accept_language.lower().split(",") if one.strip())

    def weight(language: Language) -> float:
        found = [q for tag, q in weights.items() if tag.split("-")[0] == language]
        # Of several variants the one it likes best counts; "*" stands for those not named.
        return max(found, default=weights.get("*", 0.0))

    return max(LANGUAGES, key=weight)  # the first of equals


def _range(text: str) -> tuple[str, float]:
    tag, *parameters = (part.strip() for part in text.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return tag, min(max(float(value), 0.0), 1.0)
            except ValueError:
                return tag, 0.0
    return tag, 1.0
