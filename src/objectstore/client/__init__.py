"""Drivers of the flows in `wire.flows`: one that blocks, one that awaits."""

from objectstore.client.aio import AsyncRestStore
from objectstore.client.readers import AsyncReader, Reader
from objectstore.client.sources import AsyncData, Data, Kept
from objectstore.client.sync import RestStore
from objectstore.wire.links import SignedLink
from objectstore.wire.replies import BegunUpload, Deleted, Page, UnfinishedUpload, UploadedPart

__all__ = [
    "AsyncData",
    "AsyncReader",
    "AsyncRestStore",
    "BegunUpload",
    "Data",
    "Deleted",
    "Kept",
    "Page",
    "Reader",
    "RestStore",
    "SignedLink",
    "UnfinishedUpload",
    "UploadedPart",
]
