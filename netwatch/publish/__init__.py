"""Composes posts and charts from the record and delivers them."""
