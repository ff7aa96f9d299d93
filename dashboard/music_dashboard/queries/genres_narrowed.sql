-- Genres of a period by plays, and of the period before, of some listens.
select
    songs.genre,
    count_if(listens.activity_date between :period_start and :period_end) as plays,
    count_if(listens.activity_date between :period_start and :period_end and listens.is_stream) as streams,
    count_if(listens.activity_date between :before_start and :before_end) as plays_before
from SILVER.LISTENS as listens
inner join SILVER.DIM_SONGS as songs on listens.song_key = songs.song_key
where listens.activity_date between :before_start and :period_end/*narrowed*/
group by songs.genre
order by plays desc, songs.genre
