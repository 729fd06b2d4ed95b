"""Objects as the strings of a Redis database."""

from objectstore.backends.redis.backend import RedisBackend

__all__ = ["RedisBackend"]
