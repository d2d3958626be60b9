"""The titles of the columns of schema `analytics`, in English and Russian, for files that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from syncer.titles import FIELD_TITLES, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from syncer.web.translations import Language


def _capitalised(name: str, text: Text) -> Text:
    """Capitalises the page's title of a field, unless the field is called by its key in both languages."""
    return text if text.en == text.ru == name else Text(*(one[:1].upper() + one[1:] for one in text))


_FIELDS: Final = {name: _capitalised(name, text) for name, text in FIELD_TITLES.items()}

TITLES: Final[Mapping[str, Text]] = _FIELDS | {
    "account": Text("Account", "Личный кабинет"),
    "account_id": Text("Account id", "id личного кабинета"),
    "active_seconds": Text("Active, s", "Активен, с"),
    "active_share": Text("Share of time active", "Доля времени активным"),
    "after_run_id": Text("After poll", "После опроса"),
    "arrived": Text("New numbers", "Новых номеров"),
    "attempts": Text("Attempts", "Попыток"),
    "began_by": Text("Began by", "Чем начался"),
    "began_day": Text("Day it began", "День начала"),
    "blind_seconds": Text("Not watched, s", "Без наблюдения, с"),
    "change_id": Text("Change id", "id изменения"),
    "changed": Text("Changed", "Изменено"),
    "changed_after": Text("Not before", "Не раньше"),
    "changed_at": Text("Changed", "Изменён"),
    "changed_day": Text("Day of the change", "День изменения"),
    "channel": Text("Channel", "Канал"),
    "clock_ahead": Text("Clock was ahead", "Часы спешили"),
    "closed_after": Text("Ended not before", "Конец не раньше"),
    "closed_run_id": Text("Ended in poll", "Закрыт опросом"),
    "closing": Text("At the end", "На конец"),
    "created": Text("New", "Новых"),
    "created_at": Text("First polled", "Первый опрос"),
    "cursor": Text("Cursor", "Курсор"),
    "day": Text("Day", "День"),
    "days": Text("Days", "Дней"),
    "days_in_state": Text("Days in state", "Дней в состоянии"),
    "debt_lock_seconds": Text("Locked for debt, s", "В блокировке за долг, с"),
    "delay_seconds": Text("Delay, s", "Задержка, с"),
    "documented": Text("Documented", "Описано оператором"),
    "duration_seconds": Text("Duration, s", "Длительность, с"),
    "e164": Text("Number, E.164", "Номер, E.164"),
    "ended_at": Text("Ended", "Закончилось"),
    "ended_by": Text("Ended by", "Чем закончился"),
    "entered": Text("Came from another state", "Пришло из другого состояния"),
    "error": Text("Error", "Ошибка"),
    "error_kind": Text("Kind of error", "Вид ошибки"),
    "events": Text("Events, JSON", "События, JSON"),
    "exited": Text("Left for another state", "Ушло в другое состояние"),
    "extra": Text("Other fields, JSON", "Прочие поля, JSON"),
    "failed": Text("Failed", "Сбоев"),
    "field": Text("Field", "Поле"),
    "finished_at": Text("Finished", "Завершён"),
    "first_reason": Text("First reason", "Первая причина"),
    "first_seen_at": Text("First seen", "Впервые получен"),
    "freeze_seconds": Text("Frozen, s", "Заморожен, с"),
    "from_reason": Text("Previous reason", "Прежняя причина"),
    "from_state": Text("Previous state", "Прежнее состояние"),
    "held": Text("Removals held", "Удержано удалений"),
    "hops": Text("Forwardings", "Переадресаций"),
    "http_status": Text("HTTP status", "Код HTTP"),
    "is_current": Text("Current", "Действует"),
    "is_loop": Text("Loop", "Замкнута"),
    "kind": Text("Kind of change", "Вид изменения"),
    "lag_seconds": Text("Age of data, s", "Возраст данных, с"),
    "last_error": Text("Last error", "Последняя ошибка"),
    "last_error_kind": Text("Kind of last error", "Вид последней ошибки"),
    "last_outcome": Text("Last outcome", "Последний итог"),
    "last_read_at": Text("Last read", "Последнее чтение"),
    "last_reason": Text("Last reason", "Последняя причина"),
    "last_seen_at": Text("Last seen", "Последний раз получен"),
    "last_success_at": Text("Last successful poll", "Последний успешный опрос"),
    "listed_seconds": Text("Listed, s", "В списке, с"),
    "locks": Text("Locks for debt", "Блокировок за долг"),
    "longest_gap_seconds": Text("Longest gap, s", "Самый долгий перерыв, с"),
    "made_at": Text("Made", "Создано"),
    "mean_seconds": Text("Mean, s", "Среднее, с"),
    "median_seconds": Text("Median, s", "Медиана, с"),
    "missing_since": Text("Missing since", "Отсутствует с"),
    "month": Text("Month", "Месяц"),
    "moved_in": Text("Moved in, net", "Перешло, баланс"),
    "new_value": Text("New value", "Новое значение"),
    "notice_id": Text("Notice id", "id уведомления"),
    "number_key": Text("Number key", "Ключ номера"),
    "number_now": Text("Number now", "Номер сейчас"),
    "numbers": Text("Numbers", "Номеров"),
    "observed_until": Text("Observed until", "Учитывается до"),
    "occurrences": Text("Times received", "Получена раз"),
    "old_value": Text("Old value", "Старое значение"),
    "opening": Text("At the beginning", "На начало"),
    "other_seconds": Text("In other states, s", "В прочих состояниях, с"),
    "outcome": Text("Outcome", "Итог"),
    "p95_seconds": Text("95th percentile, s", "95-й процентиль, с"),
    "path": Text("Path", "Путь"),
    "payload": Text("As received", "В полученном виде"),
    "polls": Text("Polls", "Опросов"),
    "reason_since": Text("Reason since", "Причина с"),
    "reason_since_earliest": Text("Reason not before", "Причина не раньше"),
    "received": Text("Received", "Получено"),
    "recorded_at": Text("Recorded", "Записано"),
    "redirect_count": Text("Redirects to it", "Переадресаций на номер"),
    "redirect_from": Text("Redirected from", "Переадресация с"),
    "redirect_from_key": Text("Redirected from, key", "Переадресация с, ключ"),
    "redirect_number_id": Text("Redirected from, id", "Переадресация с, id"),
    "redirected_from": Text("Redirected from", "Переадресация с номеров"),
    "redirected_to": Text("Redirected to", "Переадресован на"),
    "redirects_closed": Text("Redirects ended", "Переадресаций снято"),
    "redirects_opened": Text("Redirects begun", "Переадресаций добавлено"),
    "region_id": Text("Region id", "id региона"),
    "rejected": Text("Rejected", "Отклонено"),
    "removed": Text("Removed", "Удалено"),
    "removed_at": Text("Removed", "Удалён"),
    "response_bytes": Text("Response, bytes", "Ответ, байт"),
    "restored": Text("Returned", "Вернулось"),
    "retired_at": Text("Not polled since", "Не опрашивается с"),
    "returned": Text("Returned", "Вернулось"),
    "rule": Text("Rule", "Правило"),
    "run_id": Text("Poll", "Опрос"),
    "sent_at": Text("Sent", "Отправлено"),
    "share": Text("Share of the day", "Доля дня"),
    "spells": Text("Stays", "Пребываний"),
    "started_at": Text("Started", "Начат"),
    "state_changes": Text("State changes", "Смен состояния"),
    "state_since": Text("State since", "В состоянии с"),
    "state_since_earliest": Text("State not before", "В состоянии не раньше"),
    "target_key": Text("Target key", "Ключ конечного номера"),
    "target_number": Text("Target number", "Конечный номер"),
    "target_number_id": Text("Target number id", "id конечного номера"),
    "target_state": Text("Target state", "Состояние конечного номера"),
    "through_run_id": Text("Through poll", "По опрос"),
    "time_zone": Text("Time zone", "Часовой пояс"),
    "title": Text("Title", "Название"),
    "to_reason": Text("Next reason", "Новая причина"),
    "to_state": Text("Next state", "Новое состояние"),
    "trigger": Text("Started by", "Чем запущен"),
    "unchanged": Text("Unchanged", "Без изменений"),
    "unconfirmed": Text("Removals unconfirmed", "Не подтверждено удалений"),
    "unlocks": Text("Ends of locks", "Снятий блокировки"),
    "valid_from": Text("From", "Начало"),
    "valid_to": Text("Until", "Конец"),
    "virtual_number_id": Text("Number id", "id номера"),
    "works": Text("Works", "Работает"),
}
"""By a column's name. A column with `_title_en` or `_title_ru` after its name, or with `title_en`, is derived."""

_TRANSLATED: Final = {
    "title_en": Text("in English", "по-английски"),
    "title_ru": Text("in Russian", "по-русски"),
}


def column_title(name: str, language: Language) -> str | None:
    """Returns the title of a column; None if it has none, as in a view that was added to the schema by somebody."""
    for suffix, addition in _TRANSLATED.items():
        base = "title" if name == suffix else name.removesuffix(f"_{suffix}")
        if base != name and base in TITLES:
            return f"{getattr(TITLES[base], language)} {getattr(addition, language)}"
    return getattr(TITLES[name], language) if name in TITLES else None
