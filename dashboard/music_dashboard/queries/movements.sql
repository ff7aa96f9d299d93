-- How the number of subscribers moves.
select
    activity_date,
    sum(opening) as opening,
    sum(first_seen) as first_seen,
    sum(new) as new,
    sum(reactivated) as reactivated,
    -sum(downgraded) as downgraded,
    -sum(cancelled) as cancelled,
    sum(moved_in) - sum(moved_out) as moved,
    sum(closing) as closing
from GOLD.SUBSCRIPTION_MOVEMENTS_DAILY
where activity_date between :start and :end/*narrowed*/
group by activity_date
order by activity_date
