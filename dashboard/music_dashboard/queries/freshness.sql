-- Up to when each model is complete, the latest delay first.
select model, complete_until, behind_seconds, built_at
from OPS.FRESHNESS
-- A view has no rows of its own, so it is as complete as what it reads.
where complete_until is not null
order by behind_seconds desc, model
