-- The latest verdict of each check, those that failed first.
select model, check_name, passed, said, checked_at
from OPS.CHECKS
order by passed, model, check_name
