-- How many numbers each region has in each state now.
select region, state, count(*) as numbers
  from analytics.numbers
 group by region, state
 order by region, state
