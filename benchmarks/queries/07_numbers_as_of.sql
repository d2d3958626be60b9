-- How many numbers were in each state at a moment of the past.
select state, state_title_en, count(*) as numbers
  from analytics.numbers_as_of('2025-10-01 00:00 Europe/Moscow')
 group by state, state_title_en
 order by state
