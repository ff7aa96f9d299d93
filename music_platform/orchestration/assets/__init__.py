"""Software-defined assets, in the order of an event's way: topics, ingestion (lake and RAW), reference data, marts."""
