"""The SQLite file class that every embedded database uses."""
