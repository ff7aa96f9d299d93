-- What there is to filter by.
select 'country' as dimension, country as value from GOLD.SONG_PERFORMANCE_DAILY group by country
union all
select 'state', state from GOLD.DEMOGRAPHICS_DAILY group by state
union all
select 'level', level from GOLD.DEMOGRAPHICS_DAILY group by level
union all
select 'device_type', device_type from GOLD.DEVICE_METRICS_DAILY group by device_type
order by 1, 2
