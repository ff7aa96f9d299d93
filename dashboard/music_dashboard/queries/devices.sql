-- What people listen on.
select device_type, device_os, sum(plays) as plays, sum(streams) as streams
from GOLD.DEVICE_METRICS_DAILY
where activity_date between :start and :end/*narrowed*/
group by device_type, device_os
order by plays desc, device_type, device_os
