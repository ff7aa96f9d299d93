-- How the current version of each model was measured beside its baselines, before it was published.
select
    learned.model,
    learned.as_of,
    learned.published_at,
    who.key::varchar as measured,
    what.key::varchar as measure,
    what.value::float as value
from OPS.LEARNED as learned,
    lateral flatten(input => parse_json(learned.metrics)) as who,
    lateral flatten(input => who.value) as what
order by learned.model, measure, case when measured = 'model' then 0 else 1 end, measured
