select
    user_id,
    first_name,
    last_name,
    gender,
    to_timestamp_ntz(registration, 3) as registered_at,
    level,
    city,
    state,
    zip,
    country,
    device_type
from {{ source('raw', 'users') }}
