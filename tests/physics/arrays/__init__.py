"""What the random tests of the science API draw from: data, what may be done to it, and every function by brute force."""
