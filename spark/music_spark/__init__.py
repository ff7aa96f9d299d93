"""The streaming job: read, parse, validate, enrich, write."""
