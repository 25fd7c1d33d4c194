"""The observatory's ear: receive, keep durably, acknowledge, count."""
