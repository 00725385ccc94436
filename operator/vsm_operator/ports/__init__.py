"""The outside world, behind functions with deadlines. What fails is raised as this package's own error."""
