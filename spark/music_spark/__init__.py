"""The streaming job: read, parse, validate, shape, enrich, write.

The folder is `spark`, the package `music_spark`: a cluster's workers install it, and a package named `spark`
would shadow others there. Does not belong here: when a batch runs, and what happens after its commit.
"""
