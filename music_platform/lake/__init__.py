"""The Delta lake as files: where it lies, what its log says, how far its stream has committed. Needs no Spark."""
