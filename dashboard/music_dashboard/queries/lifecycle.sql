-- Users who came, came back, stayed and left.
select activity_date, opening, new, resurrected, churned, retained, closing, quick_ratio, is_complete
from GOLD.GROWTH_ACCOUNTING_DAILY
where activity_date between :start and :end
order by activity_date
