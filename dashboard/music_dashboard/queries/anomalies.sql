-- Hours and states with far more or far fewer listens than in the eight weeks before.
select activity_hour, state, plays, expected_plays, score
from GOLD.TRAFFIC_ANOMALIES
where is_anomaly and activity_hour >= :start and activity_hour < :after_end
order by activity_hour desc, abs(score) desc, state
limit 200
