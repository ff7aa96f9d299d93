-- The months that have a statement, latest first.
select to_varchar(statement_month, 'YYYY-MM') as value
from GOLD.ROYALTY_SHARES_MONTHLY
group by statement_month
order by statement_month desc
