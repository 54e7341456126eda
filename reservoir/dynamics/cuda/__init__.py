"""The recurrence on a GPU."""
