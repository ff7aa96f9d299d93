"""The shape of events and reference data: the only place that says it. Pure data; imports nothing of the platform."""
