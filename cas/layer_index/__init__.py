"""What layers hold, found by key and by prefix: kept by one process of a machine, asked by the others over a socket.

    protocol       LayerIndex, OwnedLayerIndex: what everybody sees
    rocks          RocksLayerIndex: the owner's, over generations (directories), tables (an open RocksDB), keys
    server         answers at a Unix socket; messages: what goes over it
    remote         RemoteLayerIndex: asks there

It is derived from what was read of layers, and knows of no image, repository or person. Of these modules only the
protocol is imported here: RocksDB is loaded by the owner alone.
"""

from cas.layer_index.protocol import (
    BlobRecord,
    By,
    ChainRecord,
    FileQuery,
    FoundFile,
    FoundFiles,
    LayerIndex,
    OwnedLayerIndex,
)

__all__ = [
    "BlobRecord",
    "By",
    "ChainRecord",
    "FileQuery",
    "FoundFile",
    "FoundFiles",
    "LayerIndex",
    "OwnedLayerIndex",
]
