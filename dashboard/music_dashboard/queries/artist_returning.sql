-- An artist's listeners of each week: those who hear it for the first time, and the others.
with weeks as (
    select date_trunc('week', listens.activity_date) as activity_week, listens.user_id
    from SILVER.LISTENS as listens
    inner join SILVER.DIM_SONGS as songs on listens.song_key = songs.song_key
    where songs.artist_id = :artist and listens.user_id is not null and listens.activity_date <= :end/*narrowed*/
    group by 1, 2
),

first_weeks as (
    select user_id, min(activity_week) as first_week from weeks group by user_id
)

select
    weeks.activity_week,
    count_if(weeks.activity_week = first_weeks.first_week) as new_listeners,
    count_if(weeks.activity_week > first_weeks.first_week) as returning_listeners
from weeks
inner join first_weeks on weeks.user_id = first_weeks.user_id
where weeks.activity_week >= :first_week
group by weeks.activity_week
order by weeks.activity_week
