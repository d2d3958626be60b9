-- Comments of schema analytics: the English ones put right, and a second line in Russian for all.

-- English -------------------------------------------------------------------------------------------------------------

comment on function analytics.numbers_as_of(timestamptz) is
    'The view numbers as it was at the given time; without the numbers of an account whose observed_until is earlier; '
    'example: select state, count(*) from analytics.numbers_as_of(''2026-03-01 00:00 Europe/Moscow'') group by 1';
comment on column analytics.accounts.app_id is
    'Identifier of the account''s Личный кабинет: the most frequent app_id of its first successful response, or of the '
    'first one after syncer account accept-app-id; null until there is one; example: 1200054';
comment on column analytics.numbers_all.state is
    'State of the number, as the vendor names it; of a removed number, its last one; example: debt_lock';
comment on column analytics.types.title_en is
    'Title in English; null for a value that the vendor does not document; example: Mobile';
comment on column analytics.types.title_ru is
    'Title in Russian; null for a value that the vendor does not document; example: мобильный';
comment on column analytics.purposes.title_en is
    'Title in English; null for a value that the vendor does not document; example: Company';
comment on column analytics.purposes.title_ru is
    'Title in Russian; null for a value that the vendor does not document; example: компания';
comment on column analytics.runs.error is
    'What went wrong and what to do, in one line; null unless the poll failed; '
    'example: simple-api.cp.megafon.ru answered 502, a server error: ask the vendor if this persists';
comment on column analytics.freshness.last_error is
    'Error of the newest poll that has finished; null unless it failed; '
    'example: simple-api.cp.megafon.ru answered 502, a server error: ask the vendor if this persists';
comment on column analytics.rejected_records.error is
    'Why the record was rejected; example: Expected `str`, got `null` - at `$.number`';
comment on column analytics.rejected_records.virtual_number_id is
    'The vendor''s id of the number, unique only within its account; null if it could not be read; example: 250';
comment on column analytics.rejected_records.number is
    'The current phone number; null unless the number is known; example: 79208547433';
comment on column analytics.rejected_records.number_key is
    'account_id and virtual_number_id in one text; null if the id could not be read; example: 1:250';
comment on column analytics.rejected_records.payload is
    'The record as received: its first 64 KiB, or 4 KiB if the records rejected before it in the response were large; '
    'example: {"id": 250, "number": null}';
comment on column analytics.runs.duration_seconds is
    'How long the poll took, in seconds; null while it is running; example: 0.42';
comment on column analytics.state_share.duration_seconds is
    'Time that the number spent in the state on that day, in seconds; example: 21600';
comment on column analytics.state_share.share is
    'Time in the state divided by the time that the number was listed that day, 0 to 1; example: 0.25';
do $$
declare
    one record;
begin
    -- An example is a value that the column can have.
    for one in select c.oid::regclass as view, a.attname, col_description(c.oid, a.attnum) as comment
                 from pg_class c
                 join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
                where c.relnamespace = 'analytics'::regnamespace
                  and (a.attname = 'type' and col_description(c.oid, a.attnum) like '%; example: def (mobile)'
                       or a.attname = 'duration_seconds'
                          and col_description(c.oid, a.attnum) like '%; example: 259200 (three days)') loop
        execute format('comment on column %s.%I is %L', one.view, one.attname,
                       regexp_replace(one.comment, ' \([a-z ]+\)$', ''));
    end loop;
end
$$;

-- Russian -------------------------------------------------------------------------------------------------------------

comment on schema analytics is
    E'History of MegaFon cloud PBX virtual numbers: the views for analysts and dashboards\n'
    'История виртуальных номеров облачной АТС МегаФона: представления для аналитиков и BI-систем';
comment on function analytics.e164(text) is
    E'A phone number in E.164 format, such as +79208547433; null unless the text consists of 10 to 15 digits\n'
    'Номер телефона в формате E.164, например +79208547433; null, если в нём не от 10 до 15 цифр или не только цифры';
comment on function analytics.readable(bytea) is
    E'Bytes as text; escaped if they are not valid UTF-8\n'
    'Байты в виде текста; экранированы, если это не UTF-8';
do $$
declare
    one record;
begin
    -- The view, the column (null for the view) and the text. "*" is for the views that have no text of their own.
    for one in
        with texts (view, name, russian) as (values
            ('accounts', null, 'Личные кабинеты, по строке на каждый'),
            ('changes', null, 'Лента изменений: строка на каждое изменённое поле; неизменны все столбцы, кроме '
                'number_now и changed_day; новые строки копирует changes_since'),
            ('changes_cursor', null, 'Одна строка: что передать changes_since в следующий раз, если скопированы все '
                'строки changes'),
            ('coverage', null, 'Сколько раз каждый личный кабинет опрошен за каждый день'),
            ('daily_flows', null, 'Сколько номеров за день вошло в каждое состояние и вышло из него и сколько времени '
                'они в нём провели, по регионам и типам; нули — тоже строки. Все столбцы можно складывать'),
            ('daily_states', null, 'Сколько номеров было в каждом состоянии на конец дня, по регионам и типам; за '
                'последний день — сейчас. Нули — тоже строки: для региона и типа — с их первого дня, для каждого '
                'состояния, которое в личном кабинете встречалось. Складывайте; для средних есть daily_totals'),
            ('daily_totals', null, 'Сколько номеров личного кабинета было в каждом состоянии на конец дня; за '
                'последний день — сейчас. Строка есть на каждый день и на каждое встречавшееся состояние, поэтому '
                'avg(numbers) по состоянию верно'),
            ('freshness', null, 'Насколько свежи данные каждого личного кабинета и чем закончился последний опрос'),
            ('monthly_kpi', null, 'Месяц личного кабинета по регионам и типам, в столбцах, которые можно складывать; '
                'за последний месяц — до текущего момента. Делите суммы: доступность — active_seconds на '
                'listed_seconds'),
            ('monthly_spells', null, 'Сколько длились пребывания в состоянии, закончившиеся в этом месяце. Строка на '
                'каждый способ окончания, потому что медианы не складывают. Без тех, что застал первый непустой ответ: '
                'когда они начались, неизвестно'),
            ('number_days', null, 'День номера: сколько он числился и в каких состояниях. Строки есть только за дни, '
                'когда номер числился, все состояния — в столбцах, поэтому среднее верно без других строк'),
            ('number_history', null, 'Строка на каждую версию записи номера, включая текущую'),
            ('numbers', null, 'Номера, которые числятся сейчас, по строке на каждый, с названиями и регионами; личные '
                'кабинеты, которые больше не опрашиваются, — в numbers_all'),
            ('numbers_all', null, 'То же, что numbers, и ещё удалённые номера и номера личных кабинетов, которые '
                'больше не опрашиваются: у них есть removed_at или retired_at и последние известные значения'),
            ('purposes', null, 'Назначения номеров, с названиями'),
            ('redirect_history', null, 'Строка на каждый период, в котором у номера была переадресация'),
            ('redirects', null, 'Переадресации, которые действуют сейчас'),
            ('regions', null, 'Регионы номеров'),
            ('rejected_records', null, 'Отклонённые записи последнего ответа; каждая требует внимания человека'),
            ('runs', null, 'Опросы, в том числе неудачные'),
            ('state_changes', null, 'Строка на каждую смену состояния или причины у номера, который числился до и '
                'после'),
            ('state_history', null, 'Строка на каждый период, в котором у номера было одно состояние и одна причина'),
            ('state_share', null, 'Какую долю каждого дня номер провёл в каждом состоянии. Складывайте, а не '
                'усредняйте: для состояния, в котором номер не был, строки нет; для средних есть number_days'),
            ('state_spells', null, 'Строка на каждое непрерывное пребывание номера в одном состоянии, какими бы ни '
                'были причины: чтобы считать блокировки и измерять их длительность'),
            ('states', null, 'Состояния номеров, с названиями'),
            ('types', null, 'Типы номеров, с названиями'),

            ('*', 'account', 'Имя личного кабинета в настройках'),
            ('*', 'account_id', 'Идентификатор личного кабинета, присвоенный программой syncer'),
            ('*', 'active_seconds', 'Сколько секунд номер был в состоянии active'),
            ('monthly_kpi', 'active_seconds', 'Сколько секунд все номера вместе были в состоянии active'),
            ('*', 'active_share', 'active_seconds как доля listed_seconds, от 0 до 1'),
            ('accounts', 'app_id', 'Идентификатор личного кабинета: app_id, который чаще всего встречается в первом '
                'успешном ответе или в первом ответе после syncer account accept-app-id; null, пока его нет'),
            ('*', 'app_id', 'Идентификатор личного кабинета, которому номер принадлежит по своей записи'),
            ('*', 'arrived', 'Сколько номеров появилось впервые, в этом состоянии'),
            ('monthly_kpi', 'arrived', 'Сколько номеров появилось впервые'),
            ('*', 'began_by', 'Как номер попал в состояние: created или restored — вместе с самим номером, changed — '
                'из другого состояния'),
            ('number_history', 'began_by', 'Как началась версия: created или restored — вместе с номером, или changed'),
            ('*', 'began_day', 'День, на который приходится valid_from, в часовом поясе личного кабинета'),
            ('*', 'change_id', 'Идентификатор строки, который никогда не меняется; порядок строк одного run_id'),
            ('*', 'changed', 'Номера, в которых что-либо изменилось, в том числе переадресации'),
            ('*', 'changed_after', 'Изменение произошло позже этого момента и не позже changed_at; null, если так было '
                'уже в первом непустом ответе'),
            ('numbers', 'changed_after', 'Текущая версия началась позже этого момента и не позже changed_at; null, '
                'если так было уже в первом непустом ответе'),
            ('numbers_all', 'changed_after', 'Текущая версия началась позже этого момента и не позже changed_at; null, '
                'если так было уже в первом непустом ответе'),
            ('number_history', 'changed_after', 'Период начался позже этого момента и не позже valid_from; null, если '
                'так было уже в первом непустом ответе'),
            ('redirect_history', 'changed_after', 'Период начался позже этого момента и не позже valid_from; null, '
                'если так было уже в первом непустом ответе'),
            ('redirects', 'changed_after', 'Период начался позже этого момента и не позже valid_from; null, если так '
                'было уже в первом непустом ответе'),
            ('state_history', 'changed_after', 'Период начался позже этого момента и не позже valid_from; null, если '
                'так было уже в первом непустом ответе'),
            ('state_spells', 'changed_after', 'Номер попал в состояние позже этого момента и не позже valid_from; '
                'null, если так было уже в первом непустом ответе'),
            ('*', 'changed_at', 'Когда изменение впервые замечено'),
            ('numbers', 'changed_at', 'Когда впервые получена текущая версия записи'),
            ('numbers_all', 'changed_at', 'Когда впервые получена текущая версия записи'),
            ('*', 'changed_day', 'День, на который приходится changed_at, в нынешнем часовом поясе личного кабинета'),
            ('*', 'clock_ahead', 'Спешили ли часы базы данных при записи последнего успешного опроса; тогда '
                'last_success_at позже, чем было на самом деле'),
            ('*', 'closed_after', 'Период закончился позже этого момента и не позже valid_to; null у текущего периода'),
            ('state_spells', 'closed_after', 'Номер вышел из состояния позже этого момента и не позже valid_to; null, '
                'если ещё не вышел'),
            ('*', 'closed_run_id', 'Опрос, который записал конец периода; null у текущего периода'),
            ('state_spells', 'closed_run_id', 'Опрос, который увидел, что номер вышел из состояния; null, если ещё не '
                'вышел'),
            ('*', 'closing', 'Сколько номеров числилось на конец месяца или числится сейчас: opening + arrived + '
                'returned - removed + moved_in'),
            ('*', 'comment', 'Комментарий к номеру из личного кабинета'),
            ('*', 'created', 'Номера, которых раньше не было'),
            ('accounts', 'created_at', 'Когда личный кабинет опрошен впервые'),
            ('*', 'cursor', 'Для каждого account_id — его последний опрос, который что-либо изменил'),
            ('*', 'day', 'День в часовом поясе личного кабинета'),
            ('*', 'debt_lock_seconds', 'Сколько секунд номер был в состоянии debt_lock'),
            ('*', 'dgn_number', 'ДГН: городской номер, связанный с мобильным'),
            ('*', 'documented', 'false у значения, которое пришло, но не описано в документации оператора'),
            ('*', 'duration_seconds', 'Длительность периода в секундах; у текущего — до observed_until личного '
                'кабинета'),
            ('daily_flows', 'duration_seconds', 'Сколько секунд все номера вместе были в состоянии за день; делите на '
                '86400, чтобы получить номеро-дни'),
            ('runs', 'duration_seconds', 'Сколько секунд длился опрос; null, пока он выполняется'),
            ('state_share', 'duration_seconds', 'Сколько секунд номер провёл в состоянии за этот день'),
            ('state_spells', 'duration_seconds', 'Сколько секунд номер был в состоянии; если ещё не вышел — до '
                'observed_until личного кабинета'),
            ('*', 'e164', 'Номер телефона в формате E.164; null, если в нём не от 10 до 15 цифр'),
            ('*', 'employee_id', 'Сотрудник, за которым закреплён номер'),
            ('changes', 'employee_id', 'Сотрудник, за которым номер был закреплён после изменения или до удаления'),
            ('state_changes', 'employee_id', 'Сотрудник, за которым номер был закреплён после изменения'),
            ('redirect_history', 'employee_id', 'Сотрудник, за которым номер был закреплён в начале переадресации'),
            ('redirects', 'employee_id', 'Сотрудник, за которым номер был закреплён в начале переадресации'),
            ('state_history', 'employee_id', 'Сотрудник, за которым номер был закреплён в начале периода'),
            ('state_spells', 'employee_id', 'Сотрудник, за которым номер был закреплён, когда попал в состояние'),
            ('*', 'ended_by', 'Чем закончился период: changed — сменилось состояние или причина, removed — удалён '
                'номер; null, пока период не закончился'),
            ('monthly_spells', 'ended_by', 'Чем они закончились: changed — номер перешёл в другое состояние, removed — '
                'номер удалён'),
            ('number_history', 'ended_by', 'Чем закончилась версия: changed — началась другая, removed — номер удалён; '
                'null у текущей'),
            ('state_spells', 'ended_by', 'Как номер вышел из состояния: changed — в другое состояние, removed — '
                'удалён; null, если ещё не вышел'),
            ('*', 'entered', 'Сколько раз номер попал в состояние из другого состояния'),
            ('*', 'error', 'Что случилось и что делать, одной строкой; null, если опрос удался'),
            ('rejected_records', 'error', 'Почему запись отклонена'),
            ('*', 'error_kind', 'Вид сбоя; null, если опрос удался'),
            ('*', 'exited', 'Сколько раз номер вышел из состояния в другое состояние'),
            ('*', 'extra', 'Поля последней записи, для которых нет столбца, объектом JSON; их история не хранится'),
            ('*', 'failed', 'Неудачных опросов за день'),
            ('*', 'field', 'Изменённое поле; null при удалении'),
            ('*', 'finished_at', 'Когда стал известен итог; null, пока опрос выполняется'),
            ('*', 'first_reason', 'Причина в тот момент, когда номер попал в состояние'),
            ('*', 'first_seen_at', 'Когда номер впервые получен'),
            ('rejected_records', 'first_seen_at', 'Начало опроса, который впервые получил эту запись'),
            ('*', 'freeze_seconds', 'Сколько секунд номер был в состоянии freeze'),
            ('*', 'from_reason', 'Причина до изменения'),
            ('*', 'from_state', 'Состояние до изменения'),
            ('state_spells', 'from_state', 'Предыдущее состояние; null, если began_by не changed'),
            ('*', 'from_state_title_en', 'Состояние до изменения, по-английски'),
            ('*', 'from_state_title_ru', 'Состояние до изменения, по-русски'),
            ('*', 'group_id', 'Группа номеров для сценариев входящих звонков'),
            ('*', 'group_scenario_id', 'Сценарий входящих звонков группы номера'),
            ('freshness', 'held', 'Отсутствующие номера, удаление которых удержано'),
            ('*', 'held', 'Отсутствующие номера, удаление которых осталось удержанным после опроса'),
            ('*', 'http_status', 'Код последнего ответа HTTP; null, если ответа не было'),
            ('*', 'is_current', 'true, если период не закончился'),
            ('state_spells', 'is_current', 'Находится ли номер в этом состоянии сейчас'),
            ('*', 'is_group_scenario_active', 'Включён ли сценарий входящих звонков группы'),
            ('*', 'is_scenario_active', 'Включён ли сценарий входящих звонков'),
            ('*', 'kind', 'created — номер появился, changed — изменилось поле, state — состояние или причина, removed '
                '— номер удалён, restored — вернулся, redirect_opened — переадресация добавлена, redirect_closed — '
                'снята'),
            ('*', 'lag_seconds', 'Сколько секунд прошло с last_success_at; при clock_ahead — сколько точно прошло с '
                'последнего успешного опроса, null, если ничего не известно'),
            ('*', 'last_error', 'Ошибка последнего законченного опроса; null, если он удался'),
            ('*', 'last_error_kind', 'Вид сбоя последнего законченного опроса; null, если он удался'),
            ('*', 'last_outcome', 'Итог последнего законченного опроса'),
            ('*', 'last_read_at', 'null, если последний успешный опрос прочитал запись; иначе начало последнего '
                'опроса, который её прочитал'),
            ('*', 'last_reason', 'Причина в тот момент, когда номер вышел из состояния, или сейчас'),
            ('*', 'last_seen_at', 'Начало последнего опроса, который получил эту запись'),
            ('*', 'last_success_at', 'Когда записан последний успешный опрос'),
            ('*', 'listed_seconds', 'Сколько секунд номер числился за день'),
            ('monthly_kpi', 'listed_seconds', 'Сколько секунд числились все номера вместе'),
            ('*', 'locks', 'Сколько раз номер попал в состояние debt_lock из другого состояния'),
            ('*', 'longest_gap_seconds', 'Самый долгий перерыв без успешного опроса за день, в секундах; первый день '
                'начинается с первого успешного опроса, последний заканчивается в observed_until'),
            ('*', 'mean_seconds', 'Сколько секунд они длились в среднем'),
            ('*', 'median_seconds', 'Половина из них длилась не дольше, в секундах'),
            ('*', 'missing_since', 'Когда начался первый успешный опрос, в котором номера уже не было; null, пока '
                'номер числится'),
            ('*', 'month', 'Первый день месяца, в часовом поясе личного кабинета'),
            ('monthly_spells', 'month', 'Первый день месяца, в котором они закончились, в часовом поясе личного '
                'кабинета'),
            ('*', 'moved_in', 'Сколько номеров перешло из других регионов и типов за вычетом ушедших в другие; 0 для '
                'личного кабинета в целом'),
            ('*', 'nc_type', 'nc_type из записи; в документации оператора не описан'),
            ('*', 'new_value', 'Значение после изменения, текстом; null, если его нет'),
            ('*', 'number', 'Номер телефона в том виде, в каком его пишет оператор'),
            ('changes', 'number', 'Номер телефона после изменения или до удаления, в том виде, в каком его пишет '
                'оператор'),
            ('number_history', 'number', 'Номер телефона в то время, в том виде, в каком его писал оператор'),
            ('redirect_history', 'number', 'Номер телефона в начале переадресации, в том виде, в каком его пишет '
                'оператор'),
            ('redirects', 'number', 'Номер телефона в начале переадресации, в том виде, в каком его пишет оператор'),
            ('rejected_records', 'number', 'Нынешний номер телефона; null, если номер неизвестен'),
            ('state_changes', 'number', 'Номер телефона после изменения, в том виде, в каком его пишет оператор'),
            ('state_history', 'number', 'Номер телефона в начале периода, в том виде, в каком его пишет оператор'),
            ('state_spells', 'number', 'Номер телефона, когда он попал в состояние, в том виде, в каком его пишет '
                'оператор'),
            ('*', 'number_key', 'account_id и virtual_number_id одним текстом; соединяет все представления о номерах'),
            ('rejected_records', 'number_key', 'account_id и virtual_number_id одним текстом; null, если id не '
                'прочитан'),
            ('*', 'number_now', 'Номер телефона сейчас, каким бы он ни был тогда'),
            ('*', 'numbers', 'Сколько номеров было в состоянии на конец дня или сейчас; 0, если ни одного'),
            ('*', 'observed_until', 'До какого момента считаются дни личного кабинета, полнота его данных и периоды, '
                'которые не закончились: пока он опрашивается — до текущего, потом — до последнего успешного опроса'),
            ('*', 'occurrences', 'Сколько опросов с изменениями получили эту запись'),
            ('*', 'old_value', 'Значение до изменения, текстом; null, если его не было'),
            ('*', 'opening', 'Сколько номеров числилось в начале месяца'),
            ('*', 'other_seconds', 'Сколько секунд номер был в любом другом состоянии'),
            ('*', 'outcome', 'running — выполняется, applied — изменения записаны, unchanged — без изменений, failed — '
                'сбой, superseded — вытеснен более новым, abandoned — прерван'),
            ('*', 'p95_seconds', '95 % из них длились не дольше, в секундах'),
            ('*', 'payload', 'Запись в полученном виде: первые 64 килобайта или 4, если отклонённые до неё записи '
                'ответа велики'),
            ('*', 'polls', 'Опросов за день'),
            ('*', 'purpose', 'Назначение номера, как его называет оператор'),
            ('changes', 'purpose', 'Назначение номера после изменения или до удаления, как его называет оператор'),
            ('redirect_history', 'purpose', 'Назначение номера в начале переадресации, как его называет оператор'),
            ('redirects', 'purpose', 'Назначение номера в начале переадресации, как его называет оператор'),
            ('state_changes', 'purpose', 'Назначение номера после изменения, как его называет оператор'),
            ('state_history', 'purpose', 'Назначение номера в начале периода, как его называет оператор'),
            ('state_spells', 'purpose', 'Назначение номера, когда он попал в состояние, как его называет оператор'),
            ('*', 'purpose_title_en', 'Назначение номера, по-английски'),
            ('*', 'purpose_title_ru', 'Назначение номера, по-русски'),
            ('*', 'reason', 'Причина состояния, произвольный текст оператора'),
            ('*', 'reason_since', 'С какого времени у состояния нынешняя причина; не раньше state_since'),
            ('*', 'reason_since_earliest', 'Нынешняя причина появилась позже этого момента и не позже reason_since; '
                'null, если так было уже в первом непустом ответе'),
            ('*', 'received', 'Сколько элементов в ответе'),
            ('*', 'recorded_at', 'Когда закончился опрос, который записал изменение'),
            ('*', 'redirect_count', 'Сколько номеров переадресованы на этот'),
            ('*', 'redirect_from', 'Номер, вызовы которого переадресованы на этот'),
            ('*', 'redirect_from_key', 'number_key номера из redirect_from; null, если в numbers_all его нет'),
            ('*', 'redirect_number', 'Номер, на который переадресованы вызовы'),
            ('*', 'redirect_number_id', 'id номера, вызовы которого переадресованы на этот: id из '
                'from_redirect_numbers'),
            ('*', 'redirects_closed', 'Снятые переадресации, в том числе у удалённых номеров'),
            ('*', 'redirects_opened', 'Добавленные переадресации, в том числе у новых и вернувшихся номеров'),
            ('*', 'region', 'Регион, как его называет оператор'),
            ('changes', 'region', 'Регион номера после изменения или до удаления, как его называет оператор'),
            ('redirect_history', 'region', 'Регион номера в начале переадресации, как его называет оператор'),
            ('redirects', 'region', 'Регион номера в начале переадресации, как его называет оператор'),
            ('state_changes', 'region', 'Регион номера после изменения, как его называет оператор'),
            ('state_history', 'region', 'Регион номера в начале периода, как его называет оператор'),
            ('state_spells', 'region', 'Регион номера, когда он попал в состояние, как его называет оператор'),
            ('*', 'region_id', 'Идентификатор региона, присвоенный программой syncer'),
            ('*', 'rejected', 'Сколько элементов ответа отклонено'),
            ('freshness', 'rejected', 'Сколько элементов последнего ответа отклонено'),
            ('daily_flows', 'removed', 'Сколько номеров удалено, пока они были в этом состоянии'),
            ('monthly_kpi', 'removed', 'Сколько номеров удалено'),
            ('*', 'removed', 'Номера, удаление которых записано'),
            ('*', 'removed_at', 'С какого момента удалённый номер отсутствует; null, пока удаление не записано'),
            ('*', 'response_bytes', 'Размер тела ответа после распаковки, в байтах'),
            ('*', 'restored', 'Удалённые номера, которые вернулись'),
            ('*', 'retired_at', 'С какого времени личного кабинета нет в настройках и он не опрашивается; null, пока '
                'он есть'),
            ('*', 'returned', 'Сколько номеров вернулось после удаления, в этом состоянии'),
            ('monthly_kpi', 'returned', 'Сколько номеров вернулось после удаления'),
            ('*', 'run_id', 'Опрос, который это записал; у начатых позже значения больше'),
            ('runs', 'run_id', 'Идентификатор опроса; у начатых позже значения больше'),
            ('*', 'scenario_id', 'Сценарий входящих звонков, назначенный номеру'),
            ('*', 'share', 'Время в состоянии, делённое на время, которое номер числился в этот день, от 0 до 1'),
            ('*', 'sip_uri', 'SIP URI номера типа sip_redirection'),
            ('*', 'spells', 'Сколько их закончилось'),
            ('*', 'started_at', 'Когда начался опрос, до отправки запроса'),
            ('*', 'state', 'Состояние номера, как его называет оператор'),
            ('numbers_all', 'state', 'Состояние номера, как его называет оператор; у удалённого — последнее'),
            ('*', 'state_changes', 'Смены состояния или причины, кроме новых и вернувшихся номеров'),
            ('*', 'state_since', 'С какого времени номер в своём состоянии, какими бы ни были причины'),
            ('state_history', 'state_since', 'С какого времени номер непрерывно в этом состоянии, какими бы ни были '
                'причины; не позже valid_from'),
            ('*', 'state_since_earliest', 'Номер попал в состояние позже этого момента и не позже state_since; null, '
                'если так было уже в первом непустом ответе'),
            ('*', 'state_title_en', 'Состояние номера, по-английски'),
            ('*', 'state_title_ru', 'Состояние номера, по-русски'),
            ('*', 'time_zone', 'Часовой пояс, в котором считаются дни личного кабинета'),
            ('*', 'title_en', 'Название по-английски; null у значения, не описанного в документации оператора'),
            ('*', 'title_ru', 'Название по-русски; null у значения, не описанного в документации оператора'),
            ('*', 'to_reason', 'Причина после изменения'),
            ('*', 'to_state', 'Состояние после изменения'),
            ('state_history', 'to_state', 'Состояние после периода, в том числе то же самое, если сменилась только '
                'причина; null, пока период не закончился и если номер удалён'),
            ('state_spells', 'to_state', 'Следующее состояние; null, если номер ещё не вышел или удалён'),
            ('*', 'to_state_title_en', 'Состояние после изменения, по-английски'),
            ('*', 'to_state_title_ru', 'Состояние после изменения, по-русски'),
            ('*', 'trigger', 'Чем запущен опрос: schedule — расписанием, command — командой syncer sync, '
                'accept_removals — командой syncer sync --accept-removals'),
            ('*', 'type', 'Тип номера, как его называет оператор'),
            ('changes', 'type', 'Тип номера после изменения или до удаления, как его называет оператор'),
            ('redirect_history', 'type', 'Тип номера в начале переадресации, как его называет оператор'),
            ('redirects', 'type', 'Тип номера в начале переадресации, как его называет оператор'),
            ('state_changes', 'type', 'Тип номера после изменения, как его называет оператор'),
            ('state_history', 'type', 'Тип номера в начале периода, как его называет оператор'),
            ('state_spells', 'type', 'Тип номера, когда он попал в состояние, как его называет оператор'),
            ('*', 'type_title_en', 'Тип номера, по-английски'),
            ('*', 'type_title_ru', 'Тип номера, по-русски'),
            ('*', 'unchanged', 'Номера, в которых ничего не изменилось'),
            ('*', 'unconfirmed', 'Отсутствующие номера, удаление которых ждёт только подтверждения следующим ответом'),
            ('*', 'unlocks', 'Сколько раз номер вышел из состояния debt_lock в другое состояние, а не был удалён'),
            ('*', 'valid_from', 'Начало периода, включительно: когда он впервые замечен'),
            ('state_spells', 'valid_from', 'Когда номер попал в состояние: когда это впервые замечено'),
            ('*', 'valid_to', 'Конец периода, не включительно; null у текущего периода'),
            ('state_spells', 'valid_to', 'Когда номер вышел из состояния или удалён; null, если он ещё в нём'),
            ('*', 'virtual_number_id', 'id номера у оператора; различает номера только внутри личного кабинета'),
            ('absences', null, 'Строка для каждого времени, когда оператор не присылал номер, который ещё не удалён; '
                'с ревизии 0009'),
            ('absences', 'began_day', 'День, на который приходится missing_since, в часовом поясе личного кабинета'),
            ('absences', 'closed_run_id', 'Опрос, в котором номер снова пришёл, — он может быть уже удалён — или '
                'который записал удаление номера; null, пока номер отсутствует'),
            ('absences', 'duration_seconds', 'Сколько секунд номер отсутствовал и не был удалён; если он отсутствует '
                'сейчас — до observed_until личного кабинета'),
            ('absences', 'employee_id', 'Сотрудник, за которым номер был закреплён перед этим'),
            ('absences', 'ended_at', 'Когда номер снова пришёл или записано его удаление; null, пока он отсутствует'),
            ('absences', 'ended_by', 'returned — номер вернулся, removed — удалён с даты missing_since; null, пока он '
                'отсутствует'),
            ('absences', 'is_current', 'true, если номер отсутствует сейчас и не удалён'),
            ('absences', 'missing_since', 'Когда начался первый успешный опрос, в котором номера не было'),
            ('absences', 'number', 'Номер телефона перед этим, в том виде, в каком его пишет оператор'),
            ('absences', 'purpose', 'Назначение номера перед этим, как его называет оператор'),
            ('absences', 'region', 'Регион номера перед этим, как его называет оператор'),
            ('absences', 'run_id', 'Первый опрос без этого номера, возможно, уже удалённый; null до ревизии 0009'),
            ('absences', 'type', 'Тип номера перед этим, как его называет оператор'),
            ('assignments', null, 'Строка для каждого непрерывного времени, когда номер был закреплён за одним '
                'сотрудником'),
            ('assignments', 'began_by', 'Чем началось: created или restored — вместе с самим номером, changed — со '
                'сменой сотрудника'),
            ('assignments', 'changed_after', 'Сотруднику назначили номер позже этого момента и не позже valid_from; '
                'null, если так было уже в первом непустом ответе'),
            ('assignments', 'closed_run_id', 'Опрос, который записал конец; null, пока номер за сотрудником'),
            ('assignments', 'duration_seconds', 'Сколько секунд номер закреплён за сотрудником; если закреплён сейчас '
                '— до observed_until личного кабинета'),
            ('assignments', 'employee_id', 'Сотрудник'),
            ('assignments', 'ended_by', 'Чем закончилось: changed — сменился сотрудник, removed — удалён номер; null, '
                'пока номер за сотрудником'),
            ('assignments', 'is_current', 'true, если номер за сотрудником сейчас'),
            ('assignments', 'number', 'Номер телефона, когда его назначили, в том виде, в каком его пишет оператор'),
            ('assignments', 'purpose', 'Назначение номера, когда его назначили, как его называет оператор'),
            ('assignments', 'region', 'Регион номера, когда его назначили, как его называет оператор'),
            ('assignments', 'type', 'Тип номера, когда его назначили, как его называет оператор'),
            ('assignments', 'valid_from', 'Когда номер назначили сотруднику: когда это впервые замечено'),
            ('assignments', 'valid_to', 'Когда это закончилось; null, пока номер за сотрудником'),
            ('redirect_paths', null, 'Куда сейчас приходят звонки: строка для каждого номера с переадресацией, до '
                'конца цепочки; без личных кабинетов, которые больше не опрашиваются'),
            ('redirect_paths', 'hops', 'Сколько раз звонок перенаправляется, не больше 16'),
            ('redirect_paths', 'is_loop', 'true, если цепочка возвращается к номеру, который в ней уже был'),
            ('redirect_paths', 'number', 'Номер, звонки на который перенаправляются'),
            ('redirect_paths', 'number_key', 'number_key этого номера; null, если в numbers его нет'),
            ('redirect_paths', 'path', 'Номера цепочки по порядку'),
            ('redirect_paths', 'target_key', 'number_key номера, которым заканчивается цепочка'),
            ('redirect_paths', 'target_number', 'Номер, на который в итоге приходят звонки или на котором замыкается '
                'цепочка'),
            ('redirect_paths', 'target_number_id', 'id этого номера у оператора'),
            ('redirect_paths', 'target_state', 'Состояние этого номера, как его называет оператор'),
            ('redirect_paths', 'target_state_title_en', 'Состояние этого номера, по-английски'),
            ('redirect_paths', 'target_state_title_ru', 'Состояние этого номера, по-русски'),
            ('redirect_paths', 'virtual_number_id', 'id номера, звонки на который перенаправляются, у оператора'),
            ('redirect_paths', 'works', 'true, если цепочка заканчивается активным номером'),
            ('register', null, 'Номера, которые есть в списке сейчас, со столбцами для печатного реестра, словами; '
                'значения, которых нет в документации оператора, — как он их пишет'),
            ('register', 'days_in_state', 'Сколько дней номер в своём состоянии, с округлением'),
            ('register', 'redirected_from', 'Номера, звонки на которые перенаправляются на этот'),
            ('register', 'redirected_to', 'Номер, на который перенаправляются звонки'),
            ('rejected_records', 'virtual_number_id', 'id номера у оператора; различает номера только внутри личного '
                'кабинета; null, если не прочитан')
        ), described as (
            select c.relname as view, null::name as name, obj_description(c.oid, 'pg_class') as english
              from pg_class c where c.relnamespace = 'analytics'::regnamespace and c.relkind = 'v'
             union all
            select c.relname, a.attname, col_description(c.oid, a.attnum)
              from pg_class c
              join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
             where c.relnamespace = 'analytics'::regnamespace and c.relkind = 'v'
        )
        select distinct on (d.view, d.name) d.view, d.name,
               d.english || E'\n' || t.russian
                   || coalesce('; пример: ' || substring(d.english from '; example: (.*)$'), '') as comment
          from described d
          join texts t on t.view in (d.view, '*') and t.name is not distinct from d.name
         -- A comment of somebody else's, as on a view that was added to the schema, stays as it is.
         where d.english not like E'%\n%' and d.english like '%; example: %'
         order by d.view, d.name, t.view = '*'
    loop
        if one.name is null then
            execute format('comment on view analytics.%I is %L', one.view, one.comment);
        else
            execute format('comment on column analytics.%I.%I is %L', one.view, one.name, one.comment);
        end if;
    end loop;
    for one in select p.oid::regprocedure as function, obj_description(p.oid, 'pg_proc') as english, t.russian
                 from (values
                     ('numbers_as_of', 'Представление numbers на указанный момент; без номеров тех личных кабинетов, у '
                         'которых observed_until раньше'),
                     ('changes_since', 'Строки changes новее курсора, в порядке account_id, run_id, change_id; {} — '
                         'все; следующий курсор читайте из changes_cursor в той же транзакции (repeatable read)')
                 ) t (name, russian)
                 join pg_proc p on p.pronamespace = 'analytics'::regnamespace and p.proname = t.name loop
        execute format('comment on function %s is %L', one.function,
                       one.english || E'\n' || one.russian
                           || coalesce('; пример: ' || substring(one.english from '; example: (.*)$'), ''));
    end loop;
end
$$;
