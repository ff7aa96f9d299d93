"""music-platform: from Kafka through Spark, Delta and Snowflake to gold marts, as one Dagster asset graph."""
