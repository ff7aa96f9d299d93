with eligible as (
    select
        date_trunc('week', day + 3)::date - 3 as week, unnest([coalesce(country, 'Unknown'), 'All']) as country, genre as song_genre,
        song_id, title, artist_id, artist_name, level <> 'free' as pays, coalesce(recorded_at, ts) as recorded_at
    from judged where ineligible_reason is null
),
scoped as (select *, unnest([song_genre, 'All']) as genre from eligible),
editions as (
    select *, 'current' as edition from scoped
    union all
    select *, 'published' as edition from scoped where recorded_at < week + 7 + interval 12 hour
),
counted as (
    select
        week, country, genre, edition, song_id, title, artist_id, artist_name,
        a_point_paid, a_point_free,
        count(*) filter (where pays) as paid, count(*) filter (where not pays) as free
    from editions asof join chart_weight on valid_from <= week where complete(week + 7 + interval 12 hour) group by all
),
ranked as (
    select *, rank() over (
        partition by week, country, genre, edition order by paid * a_point_free + free * a_point_paid desc
    ) as place
    from counted
),
charted as (select * from ranked where place <= chart_size())
select
    week as chart_week, country, genre, edition, song_id as song_key, title as song_title, artist_id, artist_name,
    place as chart_rank,
    (select place from charted as b where b.week = a.week - 7 and b.country = a.country and b.genre = a.genre and b.edition = a.edition
        and b.song_id = a.song_id) as previous_rank,
    min(place) over so_far as peak_rank, count(*) over so_far as weeks_on_chart, weeks_on_chart = 1 as is_new,
    paid as paid_streams, free as free_streams, paid / a_point_paid + free / a_point_free as points,
    case
        when edition = 'published' then null
        when row(paid, free) is distinct from (
            select row(paid, free) from ranked as p where p.edition = 'published' and p.week = a.week
            and p.country = a.country and p.genre = a.genre and p.song_id = a.song_id
        ) then 'late streams'
        when place is distinct from (
            select place from charted as p where p.edition = 'published' and p.week = a.week and p.country = a.country
            and p.genre = a.genre and p.song_id = a.song_id
        ) then 'other songs'
    end as reason,
    true as is_complete
from charted as a
window so_far as (partition by country, genre, edition, song_id order by week rows unbounded preceding)
order by chart_week, country, genre, edition, chart_rank, song_key
