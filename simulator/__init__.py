"""Users, time, behaviour, and the two engines that agree to the last bit."""
