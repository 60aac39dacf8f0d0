// Lets pin_fast.go declare functions without bodies.
