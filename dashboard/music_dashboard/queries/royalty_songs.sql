-- What each song gets by a month's statement, by both ways of sharing.
select
    song_key,
    max(song_title) as song_title,
    sum(streams) as streams,
    sum(pro_rata_cents) as pro_rata_cents,
    sum(user_centric_cents) as user_centric_cents,
    sum(user_centric_cents) - sum(pro_rata_cents) as difference_cents
from GOLD.ROYALTY_SHARES_MONTHLY
where statement_month = :statement_month and entry = 'statement'/*narrowed*/
group by song_key
order by pro_rata_cents desc, song_title, song_key
limit 25
