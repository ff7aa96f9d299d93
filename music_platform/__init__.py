"""music-platform: Kafka, Spark, Delta, Snowflake and dbt marts as one Dagster asset graph."""
