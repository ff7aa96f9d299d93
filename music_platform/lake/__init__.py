"""The Delta lake as files: its paths, log, snapshot, checkpoint, progress and the lease of its single writer.

Does not belong here: Spark, the broker, or what a batch does with the lake (`ingestion`).
"""
