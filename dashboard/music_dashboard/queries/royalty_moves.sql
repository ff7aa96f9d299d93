-- The songs that gain and lose most if each listener's money goes to what that listener hears.
with songs as (
    select
        song_key,
        max(song_title) as song_title,
        sum(user_centric_cents) - sum(pro_rata_cents) as difference_cents
    from GOLD.ROYALTY_SHARES_MONTHLY
    where statement_month = :statement_month and entry = 'statement'/*narrowed*/
    group by song_key
),

ranked as (
    select
        *,
        row_number() over (order by difference_cents desc, song_title, song_key) as gain,
        row_number() over (order by difference_cents, song_title, song_key) as loss
    from songs
)

select song_key, song_title, difference_cents
from ranked
where gain <= 8 or loss <= 8
order by difference_cents desc, song_title, song_key
