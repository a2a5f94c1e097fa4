"""What a sweep's page is made of: its table, which fields matter, and pictures over several fields."""
