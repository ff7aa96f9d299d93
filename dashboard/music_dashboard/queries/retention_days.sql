-- Of those who registered, how many listen on their n-th day, and on it or later. All complete cohorts together.
select
    day_number,
    sum(eligible) as eligible,
    sum(retained) as retained,
    sum(retained_or_later) as retained_or_later,
    sum(retained) / nullif(sum(eligible), 0) as retention_rate,
    sum(retained_or_later) / nullif(sum(eligible), 0) as rolling_retention_rate
from GOLD.RETENTION_BY_DAY
where is_complete
group by day_number
order by day_number
