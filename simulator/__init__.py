"""A realistic simulated music-streaming service: users, catalogue, sessions, events, and the truth about them."""
