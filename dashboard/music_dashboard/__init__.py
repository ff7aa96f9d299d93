"""The dashboard: what the marts say, for people. A Streamlit application that runs here and inside Snowflake.

Pages are modules of `pages`, each of which defines PAGE: a page more is a file more. A tile is one thing to look at: a
query, the marts it reads, the rule that it is counted by, and how it is drawn. Only `source` knows the platform, and
only if it is there. Nothing here writes to the warehouse, and nothing shows a single user.
"""
