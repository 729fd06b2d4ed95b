"""Shipped for the tests of backends: conformance suite, model, faults."""
