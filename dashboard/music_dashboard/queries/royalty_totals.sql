-- What a month's statement gives out, by country and plan, and what it adjusts of earlier months.
select
    country,
    plan,
    sum(case when entry = 'statement' then streams else 0 end) as streams,
    sum(case when entry = 'statement' then pro_rata_cents else 0 end) as pro_rata_cents,
    sum(case when entry = 'statement' then user_centric_cents else 0 end) as user_centric_cents,
    sum(case when entry = 'adjustment' then streams else 0 end) as adjusted_streams,
    count_if(entry = 'adjustment') as adjusted_rows,
    boolor_agg(is_complete) as is_closed
from GOLD.ROYALTY_SHARES_MONTHLY
where statement_month = :statement_month/*narrowed*/
group by country, plan
order by country, plan
