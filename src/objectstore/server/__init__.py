"""The HTTP side: the application, its data plane, and the error handler."""
