"""The shape of events and reference data, defined once. Pure data.

Does not belong here: anything that reads a file, a topic or a setting.
"""
