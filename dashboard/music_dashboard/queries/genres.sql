-- Genres of a period by plays, and of the period before.
select
    genre,
    sum(case when activity_date between :period_start and :period_end then plays else 0 end) as plays,
    sum(case when activity_date between :period_start and :period_end then streams else 0 end) as streams,
    sum(case when activity_date between :before_start and :before_end then plays else 0 end) as plays_before
from GOLD.TOP_GENRES_DAILY
where activity_date between :before_start and :period_end
group by genre
order by plays desc, genre
