-- What people listen on, of some listens.
select device_type, device_os, count(*) as plays, count_if(is_stream) as streams
from SILVER.LISTENS
where activity_date between :start and :end/*narrowed*/
group by device_type, device_os
order by plays desc, device_type, device_os
