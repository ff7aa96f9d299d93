-- The charts of all genres: what genre a song has is the catalogue's to say.
with place as (
    select activity_date - ((isodow(activity_date) + 2) % 7)::integer as week, * from fact where ineligible_reason is null
),
vote as (
    select week, where_heard, edition, song_key, if(level in ('free', 'Unknown'), 'free', 'paid') as way
    from place, unnest([country, 'All']) as c (where_heard), unnest(['published', 'current']) as e (edition)
    where (edition = 'current' or recorded_at < week + interval '7 days 12 hours')
        and week + interval '7 days 12 hours' <= (select max(recorded_at) from event)
),
tally as (
    select
        week, where_heard, edition, song_key, count(*) filter (where way = 'paid') as paid,
        count(*) filter (where way = 'free') as free,
        any_value(streams_of_a_point_paid) as a_point_paid, any_value(streams_of_a_point_free) as a_point_free,
        count(*) filter (where way = 'paid') / a_point_paid + count(*) filter (where way = 'free') / a_point_free as points
    from vote asof join weight on weight.valid_from <= vote.week group by all
),
chart as (
    -- Points as fractions of a common denominator, so that equal ones share a rank.
    select *, rank() over (
        partition by week, where_heard, edition
        order by tally.paid * a_point_free + tally.free * a_point_paid desc
    ) as rank
    from tally
),
shown as (select * from chart where rank <= $chart_size)
select
    now.week as chart_week, now.where_heard as country, 'All' as genre, now.edition, now.song_key, now.rank as chart_rank,
    max(past.rank) filter (where past.week = now.week - 7) as previous_rank, least(min(past.rank), any_value(now.rank)) as peak_rank,
    count(past.week) + 1 as weeks_on_chart, now.paid as paid_streams, now.free as free_streams, now.points,
    case
        when now.edition = 'published' then null
        when (coalesce(was.paid, 0), coalesce(was.free, 0)) <> (now.paid, now.free) then 'late streams'
        when was.rank > $chart_size or was.rank <> now.rank then 'other songs'
    end as reason
from shown as now
left join shown as past on past.week < now.week
    and (past.where_heard, past.edition, past.song_key) = (now.where_heard, now.edition, now.song_key)
left join chart as was on was.edition = 'published' and was.week = now.week
    and (was.where_heard, was.song_key) = (now.where_heard, now.song_key)
group by all
