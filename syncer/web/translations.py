"""The texts of the page in English and Russian, and the choice of the language that a browser prefers.

Each text is defined in both languages in one place, so that neither translation can be forgotten. Placeholders are in
braces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from syncer.titles import ERROR_TITLES, FIELD_TITLES, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

Language = Literal["en", "ru"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "ru")
"""The first one is the default, for browsers that accept neither."""


TEXTS: Final[Mapping[str, Text]] = {
    "title": Text("syncer: virtual numbers", "syncer: виртуальные номера"),
    "subject": Text("MegaFon virtual numbers", "Виртуальные номера МегаФона"),
    "other_language": Text("По-русски", "In English"),
    "as_of": Text("as of {moment}", "на {moment}"),
    "refreshes": Text("refreshes every {seconds} s", "обновляется каждые {seconds} с"),
    "stop_refresh": Text("stop", "остановить"),
    "refresh_off": Text("auto-refresh is off", "автообновление выключено"),
    "resume_refresh": Text("resume", "возобновить"),
    "all_accounts": Text("All accounts", "Все личные кабинеты"),
    "navigation": Text("Pages", "Страницы"),
    "find_number": Text("Find a number", "Найти номер"),
    "blocked_now": Text("Locked or frozen", "Заблокированы или заморожены"),
    "skip_link": Text("Skip to content", "К содержимому"),
    # The verdict at the top
    "nothing_yet": Text("No data yet", "Данных пока нет"),
    "nothing_yet_explanation": Text(
        "The first poll has not finished yet. Its results will appear here.",
        "Первый опрос ещё не завершён. Его результаты появятся здесь.",
    ),
    "up_to_date": Text("Everything is up to date", "Данные актуальны"),
    "first_polls_running": Text("The first polls are running", "Идут первые опросы"),
    "needs_attention": Text("Something needs attention", "Требуется внимание"),
    "no_such_account": Text("There is no account with this name", "Личного кабинета с таким именем нет"),
    "no_database": Text("The database cannot be read", "Не удаётся прочитать базу данных"),
    "no_database_stale": Text("The data below are as of {moment}.", "Ниже показаны данные на {moment}."),
    "no_database_nothing": Text(
        "There is nothing to show until it can be read. The daemon keeps retrying.",
        "Данные появятся, когда база станет доступна. Программа повторяет попытки автоматически.",
    ),
    # Figures
    "numbers": Text("Numbers", "Номера"),
    "accounts": Text("Accounts", "Личные кабинеты"),
    "held": Text("Removals held", "Удержано удалений"),
    "rejected": Text("Records rejected", "Отклонено записей"),
    # Accounts
    "failing": Text("failing", "сбой"),
    "late": Text("late", "опрос задержан"),
    "new": Text("first poll", "первый опрос"),
    "ok": Text("up to date", "данные актуальны"),
    "retired": Text("not polled", "не опрашивается"),
    "late_reason": Text(
        "Its poll was due at {moment} and has not started.",
        "Опрос должен был начаться {moment}, но не начался.",
    ),
    "retired_reason": Text("It is no longer configured.", "Этого личного кабинета больше нет в настройках."),
    "last_success": Text("Last successful poll", "Последний успешный опрос"),
    "never": Text("never", "не было"),
    "next_poll": Text("Next poll", "Следующий опрос"),
    "now": Text("now", "сейчас"),
    "no_numbers": Text("no numbers", "номеров нет"),
    "held_reason": Text(
        "Numbers missing since {moment}, removal held: {count}. If they are really gone, run:",
        "Номера отсутствуют с {moment}, удаление удержано: {count}. Если их действительно больше нет, выполните:",
    ),
    "rejected_count": Text("Records rejected: {count}", "Отклонено записей: {count}"),
    "page_of": Text("Page {page} of {pages}", "Страница {page} из {pages}"),
    "previous": Text("Previous", "Назад"),
    "next": Text("Next", "Дальше"),
    "attention_first": Text("Those that need attention come first.", "Сначала показаны требующие внимания."),
    # Numbers by state
    "by_state": Text("Numbers by state", "Номера по состояниям"),
    "all_states": Text("All numbers", "Все номера"),
    "without_largest": Text("All but “{state}”", "Все, кроме «{state}»"),
    "chart_label": Text(
        "Numbers by state from {start} to {end}; the figures are in the table next to it.",
        "Номера по состояниям с {start} по {end}; значения приведены в таблице рядом.",
    ),
    "state": Text("State", "Состояние"),
    "number_now": Text("Now", "Сейчас"),
    "difference": Text("Change since {moment}", "Изменение с {moment}"),
    "all_time": Text("all", "всё время"),
    "other_states": Text("others", "прочие"),
    "took_too_long": Text(
        "This query took too long. All the data are in schema analytics of the database.",
        "Запрос выполнялся слишком долго. Все данные доступны в схеме analytics базы данных.",
    ),
    # Changes
    "changes": Text("Latest changes", "Последние изменения"),
    "no_changes": Text("Nothing has changed yet.", "Изменений пока нет."),
    "run": Text("poll {run_id}", "опрос {run_id}"),
    "happened_between": Text("happened between {after} and {until}", "произошло между {after} и {until}"),
    "happened_before": Text("happened before {until}", "произошло до {until}"),
    "all_changes": Text("All changes of this poll", "Все изменения этого опроса"),
    "created": Text("new", "новый"),
    "removed": Text("removed", "удалён"),
    "restored": Text("returned", "вернулся"),
    "redirect_opened": Text("redirect from", "переадресация с"),
    "redirect_closed": Text("redirect ended from", "снята переадресация с"),
    "empty": Text("empty", "пусто"),
    "yes": Text("yes", "да"),
    "no": Text("no", "нет"),
    # Fields of a number
    **{f"field_{name}": title for name, title in FIELD_TITLES.items()},
    # Runs
    "runs": Text("Latest polls", "Последние опросы"),
    "no_runs": Text("No poll has started yet.", "Опросов ещё не было."),
    "when": Text("When", "Когда"),
    "outcome": Text("Outcome", "Итог"),
    "duration": Text("Duration", "Длительность"),
    "in_a_row": Text("{count} in a row", "подряд: {count}"),
    "applied": Text("changes applied", "изменения записаны"),
    "unchanged": Text("unchanged", "без изменений"),
    "failed": Text("failed", "сбой"),
    "superseded": Text("superseded", "вытеснен более новым"),
    "abandoned": Text("abandoned", "прерван"),
    "running": Text("running", "выполняется"),
    "count_received": Text("received {count}", "получено {count}"),
    "count_created": Text("new {count}", "новых {count}"),
    "count_changed": Text("changed {count}", "изменено {count}"),
    "count_removed": Text("removed {count}", "удалено {count}"),
    "count_restored": Text("returned {count}", "вернулось {count}"),
    "count_held": Text("held {count}", "удержано {count}"),
    "count_unconfirmed": Text("unconfirmed {count}", "не подтверждено {count}"),
    "count_rejected": Text("rejected {count}", "отклонено {count}"),
    # Why a poll failed, by the kind of the error, as in the views; a sentence in English follows
    **{f"error_{kind}": title for kind, title in ERROR_TITLES.items()},
    # Notices
    "notices": Text("Notices", "Уведомления"),
    "no_notices": Text("There is none about this account yet.", "Об этом личном кабинете их пока не было."),
    "about": Text("About", "О чём"),
    "delay": Text("Delay", "Задержка"),
    "digest": Text("digest", "сводка"),
    "attempts": Text("attempts: {count}", "попыток: {count}"),
    "channel_waits": Text(
        "Channel {channel}: messages that wait since {moment}: {count}.",
        "Канал {channel}: сообщений, ожидающих отправки с {moment}: {count}.",
    ),
    "notice_waiting": Text("waiting", "ожидает отправки"),
    "notice_sent": Text("sent", "отправлено"),
    "notice_expired": Text("not sent in time", "не отправлено в срок"),
    "notice_refused": Text("refused by the receiver", "получатель отказался"),
    # Rejected records
    "rejected_records": Text("Rejected records", "Отклонённые записи"),
    "rejected_explanation": Text(
        "Their numbers keep their last valid values until the vendor sends valid records.",
        "Номера сохраняют последние корректные значения, пока не придут корректные записи.",
    ),
    "rejected_latest": Text("The newest {shown} of {count}:", "Последние {shown} из {count}:"),
    "invalid_value": Text("Invalid value of the field: {field}", "Недопустимое значение поля: {field}"),
    "record_of": Text("record {id}", "запись {id}"),
    "record_unknown": Text("a record whose id cannot be read", "запись с нечитаемым id"),
    "since": Text("since {moment}", "с {moment}"),
    "times_received": Text("times received: {count}", "получена раз: {count}"),
    "as_received": Text("as received", "в полученном виде"),
    # Finding a number, and the page of a number
    "what_to_find": Text("Phone number, employee or comment", "Номер телефона, сотрудник или комментарий"),
    "find": Text("Find", "Найти"),
    "spelling_hint": Text(
        "A phone number in any spelling, such as +7 926 123-45-67, 89261234567 or 9261234567, also an earlier one; or "
        "words of the name of an employee, or of a comment.",
        "Номер телефона в любой записи: +7 926 123-45-67, 89261234567 или 9261234567, в том числе прежний; или слова "
        "из имени сотрудника или комментария.",
    ),
    "not_a_number": Text(
        "This is neither a phone number, such as +7 926 123-45-67, nor words.",
        "Это не номер телефона, например +7 926 123-45-67, и не слова.",
    ),
    "number_not_found": Text(
        "No number has {number} or ever had it. Check its digits.",
        "Номера {number} нет и не было. Проверьте цифры.",
    ),
    "earlier_not_searched": Text(
        "Numbers that only had it earlier were not all searched, since that takes too long here. The view "
        "number_history of schema analytics has them.",
        "Номера, у которых он был раньше, проверены не все: это заняло бы слишком много времени. Они есть в "
        "представлении number_history схемы analytics.",
    ),
    "several_found": Text("{number} is or was the number of:", "{number} сейчас или раньше принадлежит номерам:"),
    "words_not_found": Text(
        "No number has an employee or a comment with {number}.",
        "Нет номеров, у которых в имени сотрудника или в комментарии есть {number}.",
    ),
    "found_by_words": Text(
        "{number} in the employee or the comment:", "{number} — в имени сотрудника или комментарии:"
    ),
    "more_found": Text("Only {count} are shown. Write more words.", "Показаны только {count}. Добавьте слова."),
    "no_such_number": Text("This account has no number with this id", "В этом личном кабинете нет номера с таким id"),
    "bad_address": Text("The address of this page is wrong: {parameter}", "Адрес этой страницы неверен: {parameter}"),
    "no_such_value": Text("There is no {value}", "Нет значения {value}"),
    "account": Text("Account", "Личный кабинет"),
    "id": Text("Id", "id"),
    "in_state_since": Text("In this state since", "В этом состоянии с"),
    "first_seen": Text("First seen", "Впервые получен"),
    "missing_since": Text("Missing since {moment}; not removed yet.", "Отсутствует с {moment}, но ещё не удалён."),
    "removed_at": Text("Removed", "Удалён"),
    "numbers_had": Text("Phone numbers it had", "Номера телефона"),
    "state_periods": Text("States", "Состояния"),
    "strip_label": Text(
        "States from {start} to {end}; the periods are listed below.",
        "Состояния с {start} по {end}; периоды перечислены ниже.",
    ),
    "from_moment": Text("from {moment}", "с {moment}"),
    "until_moment": Text("until {moment}", "до {moment}"),
    "until_now": Text("until now", "до сих пор"),
    "or_earlier": Text("or up to {duration} earlier", "или раньше (до {duration})"),
    "before_first_poll": Text("or before the first poll", "или до первого опроса"),
    "redirects": Text("Redirects to this number", "Переадресации на этот номер"),
    "absences": Text("Not listed for a while", "Временно отсутствовал в списке"),
    "other_changes": Text("Other changes", "Прочие изменения"),
    "only_newest": Text(
        "Only the newest {count} rows of each kind are shown. All are in schema analytics of the database.",
        "Показаны только последние {count} строк каждого вида. Все данные — в схеме analytics базы данных.",
    ),
    # The list of numbers
    "numbers_found": Text("Numbers: {count}", "Номеров: {count}"),
    "none_match": Text("No number matches.", "Таких номеров нет."),
    "all": Text("all", "все"),
    "show": Text("Show", "Показать"),
    "filters": Text("Which numbers", "Какие номера"),
    "order": Text("Order", "Порядок"),
    "by_number": Text("by phone number", "по номеру"),
    "by_since": Text("longest in its state first", "сначала дольше всего в состоянии"),
    "by_region_and_type": Text("By region and type", "По регионам и типам"),
    "most_frequent": Text("The {count} most frequent ones.", "Самые частые: {count}."),
    "none": Text("none", "нет"),
    "missing": Text("missing", "отсутствует"),
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


def texts_for(language: Language) -> dict[str, str]:
    """Returns all texts of a language by their names."""
    return {name: getattr(text, language) for name, text in TEXTS.items()}


def preferred_language(accept_language: str) -> Language:
    """Returns the language that a browser prefers by its Accept-Language header (RFC 9110, 12.5.4)."""
    weights = dict(_parse_language_range(item) for item in accept_language.lower().split(",") if item.strip())

    def weight(language: Language) -> float:
        matching = [q for tag, q in weights.items() if tag.split("-")[0] == language]
        # Of several variants of a language the highest weight counts; "*" stands for languages that are not named.
        return max(matching, default=weights.get("*", 0.0))

    return max(LANGUAGES, key=weight)  # the first of equals


def _parse_language_range(text: str) -> tuple[str, float]:
    tag, *parameters = (part.strip() for part in text.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return tag, min(max(float(value), 0.0), 1.0)
            except ValueError:
                return tag, 0.0
    return tag, 1.0
