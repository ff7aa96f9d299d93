"""`python -m benchmarks` is the comparison with what people would use instead."""

from benchmarks.comparison import main

main()
