-- The weeks that have a chart, latest first.
select to_varchar(chart_week, 'YYYY-MM-DD') as value from GOLD.CHARTS_WEEKLY group by chart_week order by chart_week desc
