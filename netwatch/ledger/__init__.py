"""The permanent record of incidents and the outbox, on SQLAlchemy."""
