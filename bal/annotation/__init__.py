"""Who answers a query."""
