-- What the latest batches cost: rows, and seconds in each stage.
select version, loaded_at, row_count, files, load_seconds, build_seconds
from OPS.LOAD_HISTORY
order by version desc
limit 100
