"""Software-defined assets in the order of an event's path: topics, lake and RAW, reference data, models, report."""
