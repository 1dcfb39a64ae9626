"""What two methods or more share, and the networks and trainings that a method is made of."""
