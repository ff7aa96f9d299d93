-- Users by how likely they are to be lost, in tenths. Bands of fewer users than a person could hide among are put together.
with banded as (
    select least(floor(probability * 10), 9) * 10 as band, count(*) as users, sum(probability) as expected_lost
    from GOLD.CHURN_RISK
    group by 1
)

select
    case when users >= :least_users then band end as percent_from,
    sum(users) as users,
    sum(expected_lost) as expected_lost
from banded
group by 1
order by 1 nulls last
