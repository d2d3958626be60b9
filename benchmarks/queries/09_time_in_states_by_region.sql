-- How much time the numbers of each region spent in each state in a month.
select n.region, h.state, count(distinct h.number_key) as numbers,
       round(sum(extract(epoch from least(h.valid_to, timestamptz '2026-06-01 00:00 Europe/Moscow')
                                    - greatest(h.valid_from, timestamptz '2026-05-01 00:00 Europe/Moscow'))) / 86400, 1)
           as days
  from analytics.state_history h
  join analytics.numbers_all n on n.number_key = h.number_key
 where h.valid_from < timestamptz '2026-06-01 00:00 Europe/Moscow'
   and (h.valid_to is null or h.valid_to > timestamptz '2026-05-01 00:00 Europe/Moscow')
 group by n.region, h.state
 order by n.region, h.state
