"""From levels to the public record."""
