"""Drivers of the flows in `wire.flows`: one that blocks, one that awaits."""

from objectstore.client.aio import AsyncRestStore
from objectstore.client.readers import AsyncReader, Reader
from objectstore.client.sync import RestStore
from objectstore.wire.replies import BegunUpload, Deleted, Page, UnfinishedUpload, UploadedPart

__all__ = [
    "AsyncReader",
    "AsyncRestStore",
    "BegunUpload",
    "Deleted",
    "Page",
    "Reader",
    "RestStore",
    "UnfinishedUpload",
    "UploadedPart",
]
