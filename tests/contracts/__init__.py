"""What several drivers of one protocol keep alike: suites that a driver's tests subclass."""
