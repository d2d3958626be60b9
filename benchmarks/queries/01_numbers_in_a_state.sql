-- The numbers that are locked for debt now, with their titles.
select number, e164, state_title_en, state_title_ru, reason, state_since, state_since_earliest, type_title_en,
       type_title_ru, purpose_title_en, purpose_title_ru, region, redirect_count
  from analytics.numbers
 where state = 'debt_lock'
 order by state_since, number
