"""Who answers: one file a protocol."""
