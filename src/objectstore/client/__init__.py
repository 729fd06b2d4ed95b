"""The clients: `RestStore` blocks, `AsyncRestStore` awaits. Both are drivers of the flows in `wire.flows`."""

from objectstore.client.aio import AsyncRestStore
from objectstore.client.readers import AsyncReader, Reader
from objectstore.client.sources import AsyncData, Data, Kept
from objectstore.client.sync import RestStore
from objectstore.client.transfers.afiles import AsyncObjectReader, AsyncObjectWriter
from objectstore.client.transfers.files import ObjectWriter
from objectstore.client.transfers.jobs import Copy, Download, Ended, Moved, Report, Started, Transferred, Upload
from objectstore.wire.links import SignedLink
from objectstore.wire.replies import BegunUpload, Deleted, Page, UnfinishedUpload, UploadedPart

__all__ = [
    "AsyncData",
    "AsyncObjectReader",
    "AsyncObjectWriter",
    "AsyncReader",
    "AsyncRestStore",
    "BegunUpload",
    "Copy",
    "Data",
    "Deleted",
    "Download",
    "Ended",
    "Kept",
    "Moved",
    "ObjectWriter",
    "Page",
    "Reader",
    "Report",
    "RestStore",
    "SignedLink",
    "Started",
    "Transferred",
    "UnfinishedUpload",
    "Upload",
    "UploadedPart",
]
