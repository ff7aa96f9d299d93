"""The verbs of the command line that look at data or put parts together: lag, sql, demo. `cli` names them."""
