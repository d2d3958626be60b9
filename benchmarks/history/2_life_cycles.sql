-- The five life cycles of numbers. Before a number is restored, it is removed. An event happens at least `after` and
-- less than `after + within` hours after one of six moments in a number's life. Each event except `column` begins a new
-- state; "trouble" is debt_lock, freeze or inactive, and "new" is activation or unconfirmed. A number that has several lives
-- begins the next one with a change.
create temp table step (life integer, step integer, kind text, state text, moment integer, after integer,
                        within integer);
insert into step
values (0, 0, 'created', 'new', 0, 0, 1), (0, 1, 'state', 'active', 0, 30, 400), (0, 2, 'column', null, 2, 0, 1),
       (0, 3, 'state', 'trouble', 4, 0, 1), (0, 4, 'column', null, 4, 24, 24), (0, 5, 'state', 'active', 4, 72, 1400),
       (1, 0, 'created', 'new', 0, 0, 1), (1, 1, 'column', null, 0, 20, 20), (1, 2, 'state', 'active', 0, 60, 400),
       (1, 3, 'column', null, 2, 0, 1), (1, 4, 'column', null, 3, 0, 1), (1, 5, 'column', null, 5, 0, 1),
       (2, 0, 'created', 'active', 0, 0, 1), (2, 1, 'state', 'trouble', 1, 0, 1), (2, 2, 'column', null, 1, 48, 100),
       (2, 3, 'restored', 'active', 3, 0, 1), (2, 4, 'column', null, 4, 0, 1), (2, 5, 'state', 'trouble', 5, 0, 1),
       (3, 0, 'created', 'active', 0, 0, 1), (3, 1, 'column', null, 1, 0, 1), (3, 2, 'restored', 'new', 2, 0, 1),
       (3, 3, 'state', 'active', 2, 60, 300), (3, 4, 'column', null, 4, 0, 1), (3, 5, 'column', null, 5, 0, 1),
       (4, 0, 'created', 'active', 0, 0, 1), (4, 1, 'state', 'trouble', 3, 0, 1), (4, 2, 'state', 'active', 3, 24, 900),
       (4, 3, 'column', null, 3, 1100, 300), (4, 4, 'restored', 'active', 5, 0, 1), (4, 5, 'column', null, 5, 30, 60);
create temp table redirected (life integer, step integer, hours_later integer, ends text);
insert into redirected
values (0, 5, 2, 'stays'), (1, 1, 2, 'soon'), (1, 3, 2, 'soon'), (1, 5, 2, 'stays'), (2, 2, 2, 'removal'),
       (3, 1, 2, 'removal'), (3, 2, 0, 'stays'), (4, 5, 2, 'stays');
