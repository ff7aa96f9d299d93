-- The latest build of each model, the current version of each that is learned, and the latest verdict of each check, in
-- one statement.
select
    'model' as kind, model, build_id, built_at as noted_at, complete_until, behind_seconds,
    null::varchar as check_name, null::boolean as passed, null::varchar as said
from OPS.FRESHNESS
union all
select 'learned', model, version, published_at, as_of::timestamp_ntz, null, null, null, null
from OPS.LEARNED
union all
select 'check', model, null, checked_at, null, null, check_name, passed, said
from OPS.CHECKS
