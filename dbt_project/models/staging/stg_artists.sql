select
    artist_id,
    name as artist_name,
    home_city,
    home_state
from {{ source('raw', 'artists') }}
